"""Which replicas should be fetched, as a pure decision: desired against observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ollamamax.contract import ModelState, NodeState


@dataclass(frozen=True, slots=True)
class WantedReplica:
    """A hosted version that every node of its tenant which can run blobs should have."""

    tenant: str
    digest: str


@dataclass(frozen=True, slots=True)
class Fetch:
    node: str
    digest: str


@dataclass(frozen=True, slots=True)
class Removal:
    node: str
    digest: str


def hosts_blobs(state: NodeState) -> bool:
    return any(engine.hosts_blobs for engine in state.engines)


def observed(state: NodeState) -> dict[str, ModelState]:
    return {model.version: model for model in state.models}


def missing(
    wanted: Iterable[WantedReplica], tenants: Mapping[str, str], states: Mapping[str, NodeState]
) -> list[Fetch]:
    """The fetches to ask for: nodes that are alive and have the version neither whole nor under way.

    ``tenants`` says whose each node is; a node's own word on it is not asked. A failed fetch is asked for again; how soon, the caller decides.
    """
    by_tenant: dict[str, list[str]] = {}
    for node in states:
        if node in tenants and hosts_blobs(states[node]):
            by_tenant.setdefault(tenants[node], []).append(node)
    fetches = []
    held_by = {node: observed(states[node]) for nodes in by_tenant.values() for node in nodes}
    for version in wanted:
        for node in by_tenant.get(version.tenant, []):
            held = held_by[node].get(version.digest)
            if held is None or held.state == "failed":
                fetches.append(Fetch(node, version.digest))
    return fetches


def unneeded(
    wanted: Iterable[WantedReplica], tenants: Mapping[str, str], states: Mapping[str, NodeState]
) -> list[Removal]:
    """The versions that nodes hold of our blobs and that nobody wants: what an engine keeps by itself is left alone."""
    kept = {(version.tenant, version.digest) for version in wanted}
    removals = []
    for node, state in states.items():
        if node not in tenants:
            continue
        kinds = {engine.kind for engine in state.engines if engine.hosts_blobs}
        removals += [
            Removal(node, model.version)
            for model in state.models
            if model.engine in kinds and (tenants[node], model.version) not in kept
        ]
    return removals

"""Which replicas should be fetched, as a pure decision: desired against observed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ollamamax.contract import ModelState, NodeState

SHORTEST_PAUSE = 15
LONGEST_PAUSE = 600


@dataclass(frozen=True, slots=True)
class WantedReplica:
    """A hosted version that nodes of its tenant should have which can run blobs."""

    tenant: str
    digest: str
    held: frozenset[str] | None = None
    """The nodes that are to have it; ``None``: every one."""
    absent: frozenset[str] = frozenset()
    """Those that are to have it no more. Where nobody has decided yet, what is there stays."""
    paused: frozenset[str] = frozenset()
    """Those where somebody stopped its transfer."""
    priority: int = 0
    opens_in: float = 0.0
    """Seconds until its bytes may be transferred."""

    def is_for(self, node: str) -> bool:
        return self.held is None or node in self.held


@dataclass(frozen=True, slots=True)
class Fetch:
    node: str
    digest: str
    failed: bool = False
    """Whether it was tried already."""


@dataclass(frozen=True, slots=True)
class Removal:
    node: str
    digest: str


def pause_after(failures: int) -> int:
    """Seconds until a fetch that failed so many times in a row is asked for again."""
    return min(LONGEST_PAUSE, SHORTEST_PAUSE << min(max(0, failures - 1), 10))


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
    for version in sorted(wanted, key=lambda each: -each.priority):
        if version.opens_in > 0:
            continue
        for node in by_tenant.get(version.tenant, []):
            if not version.is_for(node) or node in version.paused:
                continue
            held = held_by[node].get(version.digest)
            if held is None or held.state == "failed":
                fetches.append(Fetch(node, version.digest, failed=held is not None))
    return fetches


def unneeded(
    wanted: Iterable[WantedReplica], tenants: Mapping[str, str], states: Mapping[str, NodeState]
) -> list[Removal]:
    """The versions that nodes hold of our blobs and that nobody wants there: what an engine keeps by itself is left alone."""
    kept = {(version.tenant, version.digest): version.absent for version in wanted}
    removals = []
    for node, state in states.items():
        if node not in tenants:
            continue
        kinds = {engine.kind for engine in state.engines if engine.hosts_blobs}
        removals += [
            Removal(node, model.version)
            for model in state.models
            if model.engine in kinds and ((gone := kept.get((tenants[node], model.version))) is None or node in gone)
        ]
    return removals

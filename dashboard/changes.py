"""Decides what a frame says of the nodes: what is there now, against what the last frame said. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from dashboard.payloads import LiveNode, Point
from ollamamax.contract import NodeState
from ollamamax.contract.tables import Registered


class Said(msgspec.Struct, array_like=True):
    """What the last frame said of a node; kept in Redis so that any controller can go on from it."""

    name: str
    draining: bool
    report: str | None
    """``boot.seq`` of the state, ``None`` while it did not report."""
    last_seen: float | None
    shared: bool = False
    region: str = ""
    labels: dict[str, str] = {}
    hourly_cost: float | None = None


@dataclass(frozen=True)
class Changes:
    """``nodes`` and ``gone`` go into the frame, ``said`` replaces what was remembered of those nodes."""

    nodes: list[LiveNode]
    gone: list[str]
    said: dict[str, Said]


def live_node(node: str, entry: Registered, state: NodeState | None, said: Said | None) -> LiveNode:
    """A node as the page sees it; one that is silent was last seen when the last frame with a report said so."""
    draining = not entry.schedulable or (state is not None and state.draining)
    last_seen = state.at if state is not None else said.last_seen if said is not None else None
    return LiveNode(
        id=node,
        name=entry.name,
        draining=draining,
        state=state,
        last_seen=last_seen,
        shared=entry.shared,
        region=entry.region,
        labels=entry.labels,
        hourly_cost=entry.hourly_cost,
    )


def changes(entries: Mapping[str, Registered], states: Mapping[str, NodeState], said: Mapping[str, Said]) -> Changes:
    """Compare the tenant's nodes and the states of those that report with what was said before."""
    nodes: list[LiveNode] = []
    now_said: dict[str, Said] = {}
    for node, entry in entries.items():
        state = states.get(node)
        before = said.get(node)
        live = live_node(node, entry, state, before)
        report = f"{state.boot}.{state.seq}" if state else None
        now = Said(
            name=live.name,
            draining=live.draining,
            report=report,
            last_seen=live.last_seen,
            shared=live.shared,
            region=live.region,
            labels=live.labels,
            hourly_cost=live.hourly_cost,
        )
        if now != before:
            nodes.append(live)
            now_said[node] = now
    return Changes(nodes=nodes, gone=[node for node in said if node not in entries], said=now_said)


def totals(nodes: int, states: Sequence[NodeState], at: float, *, queued: int) -> Point:
    """Sums over the nodes that report. Where none does, nothing was measured, and the sums are ``None``."""
    if not states:
        return Point(
            at=at,
            nodes=nodes,
            nodes_up=0,
            capacity=None,
            running=None,
            waiting=None,
            tokens_per_second=None,
            queued=queued,
        )
    return Point(
        at=at,
        nodes=nodes,
        nodes_up=len(states),
        capacity=sum(state.capacity for state in states),
        running=sum(state.running for state in states),
        waiting=sum(state.waiting for state in states),
        tokens_per_second=round(sum(state.tokens_per_second for state in states), 2),
        queued=queued,
    )

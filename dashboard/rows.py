"""Makes the rows of nodes and models, and the totals, of what nodes say; and what changed since it was told last. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from dashboard.payloads import GpuRow, LiveNode, ModelRow, NodeRow, Point, difference
from ollamamax.contract import Gpu, NodeState, OpenRequest
from ollamamax.contract.tables import Registered

LOADED_SHOWN = 20
_STEPS = 200
"""Bytes are told in so many steps of their total."""

Row = TypeVar("Row", bound=msgspec.Struct)


@dataclass(frozen=True)
class Changed:
    """``changed`` and ``gone`` go into the event; ``said`` is remembered of the rows that changed."""

    changed: dict[str, dict[str, Any]]
    gone: list[str]
    said: dict[str, bytes]


def changes(rows: Mapping[str, Row], said: Mapping[str, Row]) -> Changed:
    """Compare the rows with what was told of them before."""
    changed: dict[str, dict[str, Any]] = {}
    for key, row in rows.items():
        fields = difference(said.get(key), row)
        if fields:
            changed[key] = fields
    return Changed(
        changed=changed,
        gone=[key for key in said if key not in rows],
        said={key: msgspec.json.encode(rows[key]) for key in changed},
    )


def live_node(node: str, entry: Registered, state: NodeState | None, last_seen: float | None) -> LiveNode:
    """A node whole; ``last_seen`` is when one that is silent was last told to report."""
    return LiveNode(
        id=node,
        name=entry.name,
        draining=_drains(entry, state),
        state=state,
        last_seen=last_seen if state is None else state.at,
        shared=entry.shared,
        region=entry.region,
        labels=entry.labels,
        hourly_cost=entry.hourly_cost,
    )


def node_row(node: str, entry: Registered, state: NodeState | None, last_seen: float | None) -> NodeRow:
    row = NodeRow(
        id=node,
        name=entry.name,
        state="silent" if state is None else "draining" if _drains(entry, state) else "ready",
        last_seen=last_seen if state is None else None,
        shared=entry.shared,
        region=entry.region,
        labels=entry.labels,
        hourly_cost=entry.hourly_cost,
        agent_version=None,
        engines=[],
        problem=None,
        capacity=None,
        running=None,
        waiting=None,
        tokens_per_second=None,
        cpu_percent=None,
        memory_used=None,
        memory_total=None,
        disk_used=None,
        disk_total=None,
        gpu=None,
        models=None,
        loaded=[],
        lifecycle=entry.lifecycle,
    )
    if state is None:
        return row
    row.agent_version = state.agent_version
    row.engines = [engine.kind for engine in state.engines]
    row.problem = next((e.error or f"{e.kind} does not answer" for e in state.engines if not e.healthy), None)
    row.capacity, row.running, row.waiting = state.capacity, state.running, state.waiting
    row.tokens_per_second = round(state.tokens_per_second, 1)
    row.cpu_percent = round(state.cpu_percent)
    row.memory_used, row.memory_total = _stepped(state.memory_used, state.memory_total), state.memory_total
    row.disk_used, row.disk_total = _stepped(state.disk_used, state.disk_total), state.disk_total
    row.gpu = _gpus(state.gpus)
    row.models = len(state.models)
    row.loaded = sorted({model.name for model in state.models if model.state == "loaded"})[:LOADED_SHOWN]
    return row


def model_rows(states: Iterable[NodeState], requests: Iterable[OpenRequest]) -> dict[str, ModelRow]:
    """Name -> row, of every model that a node that reports has."""
    rows: dict[str, ModelRow] = {}
    for state in states:
        for model in state.models:
            row = rows.get(model.name)
            if row is None:
                row = rows[model.name] = ModelRow(
                    name=model.name,
                    nodes=0,
                    loaded=0,
                    failed=0,
                    fetching=0,
                    bytes_done=None,
                    bytes_total=None,
                    running=0,
                )
            row.nodes += 1
            row.loaded += model.state == "loaded"
            row.failed += model.state == "failed"
            if model.state == "fetching":
                row.fetching += 1
                row.bytes_done = (row.bytes_done or 0) + (model.bytes_done or 0)
                row.bytes_total = (row.bytes_total or 0) + (model.size or 0)
    counted: dict[str, int] = defaultdict(int)
    for request in requests:
        counted[request.model] += 1
    for name, number in counted.items():
        if name in rows:
            rows[name].running = number
    return rows


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


def _drains(entry: Registered, state: NodeState | None) -> bool:
    return not entry.schedulable or (state is not None and state.draining)


def _stepped(used: int, total: int) -> int:
    step = max(1, total // _STEPS)
    return min(round(used / step) * step, max(used, total))


def _gpus(gpus: Sequence[Gpu]) -> GpuRow | None:
    if not gpus:
        return None
    loads = [gpu.load_percent for gpu in gpus if gpu.load_percent is not None]
    heat = [gpu.temperature_celsius for gpu in gpus if gpu.temperature_celsius is not None]
    memory = [(g.memory_used, g.memory_total) for g in gpus if g.memory_used is not None and g.memory_total is not None]
    total = sum(each for _, each in memory)
    return GpuRow(
        count=len(gpus),
        load_percent=round(max(loads)) if loads else None,
        temperature_celsius=round(max(heat)) if heat else None,
        memory_used=_stepped(sum(used for used, _ in memory), total) if memory else None,
        memory_total=total if memory else None,
    )

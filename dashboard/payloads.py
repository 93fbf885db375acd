"""What the live page receives: one snapshot, then frames. `frontend/src/live/types.ts` is generated from these.

Times are Unix seconds, durations milliseconds, sizes bytes, as in `ollamamax.contract`. Every number is one that a node or
a gateway measured, or a sum of such; where nothing measured it there is ``None``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ollamamax.contract import NodeState, OpenRequest, Outcome, UsageRecord


class LiveNode(msgspec.Struct):
    """A node of the tenant. ``state`` is ``None`` when it does not report; ``last_seen`` is its last report's time.

    ``draining``: it gets no new request, because a person said so or because the node says so itself.
    """

    id: str
    name: str
    draining: bool
    state: NodeState | None
    last_seen: float | None
    shared: bool
    """Whether it runs requests of every tenant."""
    region: str
    labels: dict[str, str]
    hourly_cost: float | None
    """In whatever currency the operator counts; ``None`` when nobody said."""


class RunningRequest(msgspec.Struct):
    """Admitted and not yet settled."""

    request: str
    model: str
    node: str
    node_name: str
    api: str
    received_at: float
    attempt: int


class WaitingRequest(msgspec.Struct):
    """Waits for a free slot. ``position`` counts from 1 over all tenants; it has no node yet."""

    request: str
    model: str
    api: str
    priority: Literal["high", "normal", "low"]
    received_at: float
    position: int
    expected_wait_ms: int | None
    """``None`` while nothing of the model has ended lately."""


class FinishedRequest(msgspec.Struct):
    """One settled request, as its usage record says."""

    request: str
    model: str
    node: str
    node_name: str
    api: str
    received_at: float
    prompt_tokens: int
    completion_tokens: int
    queue_ms: float | None
    first_token_ms: float | None
    duration_ms: float
    outcome: Outcome
    error: str


class Point(msgspec.Struct):
    """The tenant's totals of one second. Sums over the nodes that report; ``None`` when none does.

    ``waiting`` is what its nodes hold and have not begun, whosever it is; ``queued`` what the tenant has waiting for a slot.
    """

    at: float
    nodes: int
    nodes_up: int
    capacity: int | None
    running: int | None
    waiting: int | None
    tokens_per_second: float | None
    queued: int | None = None
    """``None`` in a point of a version that did not count it."""


class Snapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    """Everything the page shows. Frames with a higher ``seq`` bring it forward."""

    seq: int
    at: float
    tenant: str
    nodes: list[LiveNode]
    running: list[RunningRequest]
    running_total: int
    """How many there are; ``running`` holds the oldest of them."""
    waiting: list[WaitingRequest]
    """Those that are served first."""
    waiting_total: int
    finished: list[FinishedRequest]
    """Newest first."""
    series: list[Point]
    """Oldest first."""


class Frame(msgspec.Struct, tag_field="type", tag="frame"):
    """What changed since the frame before, whose ``seq`` is one less."""

    seq: int
    at: float
    nodes: list[LiveNode]
    """Nodes that are new, reported again, fell silent or were renamed: each replaces what was known of it."""
    gone: list[str]
    """Ids of nodes that are no longer the tenant's."""
    running: list[RunningRequest]
    running_total: int
    waiting: list[WaitingRequest]
    waiting_total: int
    finished: list[FinishedRequest]
    """Newest first."""
    point: Point


Message = Snapshot | Frame

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode
decode_point = msgspec.json.Decoder(Point).decode


def running(request: OpenRequest) -> RunningRequest:
    return RunningRequest(
        request=request.request,
        model=request.model,
        node=request.node,
        node_name=request.node_name,
        api=request.api,
        received_at=request.received_at,
        attempt=request.attempt,
    )


def finished(record: UsageRecord) -> FinishedRequest:
    return FinishedRequest(
        request=record.request,
        model=record.model,
        node=record.node,
        node_name=record.node_name,
        api=record.api,
        received_at=record.received_at,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        queue_ms=record.queue_ms,
        first_token_ms=record.first_token_ms,
        duration_ms=record.duration_ms,
        outcome=record.outcome,
        error=record.error,
    )

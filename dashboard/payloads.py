"""What each topic of the live socket tells: what is there when one subscribes, and what changes later.

`frontend/src/live/types.ts` and the published document (`dashboard.asyncapi`) are generated from these. Times are Unix seconds,
durations milliseconds, sizes bytes, as in `ollamamax.contract`. Every number is one that a node or a gateway measured, or a sum
of such; where nothing measured it there is ``None``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from ollamamax.contract import NodeState, OpenRequest, Outcome, UsageRecord


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


class FleetShown(msgspec.Struct):
    tenant: str
    series: list[Point]
    """One for each second in which somebody looked, the oldest first."""


class FleetChange(msgspec.Struct):
    points: list[Point]
    """The seconds since; more than one where the reader was slow."""


class GpuRow(msgspec.Struct):
    """All GPUs of a node together: the busiest, the hottest, and the sums of their memory, rounded as in `NodeRow`."""

    count: int
    load_percent: float | None
    temperature_celsius: float | None
    memory_used: int | None
    memory_total: int | None


class NodeRow(msgspec.Struct):
    """A node as one line of a table shows it: rounded, so that what nobody would see is not sent.

    Percents are whole, bytes in steps of half a percent of the total; `LiveNode` has it exact.
    """

    id: str
    name: str
    state: Literal["ready", "draining", "silent"]
    """``draining``: no new request, by a person's or the node's own word; ``silent``: it does not report."""
    last_seen: float | None
    """Time of the last report of a node that is silent; ``None`` while it reports, or when it never did."""
    shared: bool
    region: str
    labels: dict[str, str]
    hourly_cost: float | None
    agent_version: str | None
    engines: list[str]
    problem: str | None
    """What the first engine that does not answer says."""
    capacity: int | None
    running: int | None
    waiting: int | None
    tokens_per_second: float | None
    cpu_percent: float | None
    memory_used: int | None
    memory_total: int | None
    disk_used: int | None
    disk_total: int | None
    gpu: GpuRow | None
    models: int | None
    loaded: list[str]
    """Names of the models in memory, sorted; at most 20."""
    lifecycle: str = ""
    """The node's state as the control plane has it: joining, ready, cordoned, draining, unreachable or lost; empty where it does not say."""


class ModelRow(msgspec.Struct):
    """A model by its name, over the tenant's nodes that report."""

    name: str
    nodes: int
    """Nodes that have it, in whatever state."""
    loaded: int
    failed: int
    fetching: int
    bytes_done: int | None
    """Of what is being fetched, all nodes together; ``None`` when nothing is."""
    bytes_total: int | None
    running: int
    """The tenant's requests that run with it."""


def _patch(row: type[msgspec.Struct], name: str, doc: str) -> type[msgspec.Struct]:
    fields = [(field.name, field.type | UnsetType, UNSET) for field in msgspec.structs.fields(row)]
    return msgspec.defstruct(name, fields, namespace={"__doc__": doc}, module=__name__)


NodePatch = _patch(
    NodeRow, "NodePatch", "The fields of a `NodeRow` that are others than before; all of them for a node that is new."
)
ModelPatch = _patch(
    ModelRow,
    "ModelPatch",
    "The fields of a `ModelRow` that are others than before; all of them for a model that is new.",
)


class NodesShown(msgspec.Struct):
    nodes: list[NodeRow]
    """By name; no more than the subscription's ``limit``."""
    total: int
    """How many there are."""


class NodesChange(msgspec.Struct):
    changed: dict[str, NodePatch]  # type: ignore[valid-type] # made above
    """Node id to what is other than before."""
    gone: list[str]
    total: int
    whole: bool = False
    """Whether this is all there is, and replaces what was known."""


class LiveNode(msgspec.Struct):
    """A node of the tenant, whole. ``state`` is ``None`` when it does not report; ``last_seen`` is its last report's time.

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


class NodeDetails(msgspec.Struct):
    nodes: list[LiveNode]
    """Those asked for by ``ids``: all of them at first, later those that changed, each whole."""
    gone: list[str]


class ModelsShown(msgspec.Struct):
    models: list[ModelRow]


class ModelsChange(msgspec.Struct):
    changed: dict[str, ModelPatch]  # type: ignore[valid-type] # made above
    gone: list[str]
    whole: bool = False
    """Whether this is all there is, and replaces what was known."""


class RunningRequest(msgspec.Struct):
    """Admitted and not yet settled."""

    request: str
    model: str
    node: str
    node_name: str
    api: str
    received_at: float
    attempt: int


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


class RequestsShown(msgspec.Struct):
    running: list[RunningRequest]
    """The oldest of them, the oldest first."""
    running_total: int
    finished: list[FinishedRequest]
    """Newest first."""


class RequestsChange(msgspec.Struct):
    running: list[RunningRequest]
    """Those that are new among the oldest, or run elsewhere now."""
    ended: list[str]
    """Ids of those that are no longer among them."""
    running_total: int
    finished: list[FinishedRequest]
    """Newest first."""
    whole: bool = False
    """Whether no other request runs than those in ``running``."""


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


class QueueShown(msgspec.Struct):
    """Told whole each time."""

    waiting: list[WaitingRequest]
    """Those that are served first."""
    waiting_total: int


class JobRow(msgspec.Struct):
    """Work on a model. ``done`` and ``total`` are bytes of the step it is at; ``None`` where the step has none."""

    id: str
    kind: str
    model: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    step: str
    done: int | None
    total: int | None
    error: str
    actor_name: str
    created_at: float
    started_at: float | None
    finished_at: float | None


class JobsShown(msgspec.Struct):
    """Told whole each time: what is under way, and what ended last."""

    jobs: list[JobRow]
    """Newest first."""


class IncidentRow(msgspec.Struct):
    """Something that broke. Times in Unix seconds; ``id`` and ``subject_id`` have no hyphens."""

    id: str
    kind: str
    severity: str
    text: str
    about: str
    subject_id: str
    subject_name: str
    opened_at: float
    closed_at: float | None
    reopened: int
    acknowledged_by: str
    silenced_until: float | None


class IncidentsShown(msgspec.Struct):
    """Told whole each time: what is open, and what closed last."""

    incidents: list[IncidentRow]
    """Those that are open first, then the newest; at most 50."""
    open: int
    """How many are open in all."""


class TrailEntry(msgspec.Struct):
    """What was done, of the tenant's audit trail; ``number`` is the record's."""

    number: int
    at: float
    action: str
    actor_kind: str
    actor_name: str
    target_type: str
    target_id: str


class Trail(msgspec.Struct):
    entries: list[TrailEntry]
    """Newest first."""


encode = msgspec.json.Encoder().encode
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


def difference(before: msgspec.Struct | None, now: msgspec.Struct) -> dict[str, Any]:
    """The fields of ``now`` that are others than ``before``; all of them when there was none."""
    return {
        field: value
        for field in now.__struct_fields__
        if (value := getattr(now, field)) != (UNSET if before is None else getattr(before, field))
    }

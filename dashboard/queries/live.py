"""Reads what the live topics show of nodes, models and requests. Redis only: they work while Postgres does not."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec
import redis.asyncio

from cluster.dispatch import queue_position
from cluster.health.judge import SYSTEM
from cluster.telemetry import read_soon
from dashboard.health_rows import (
    FindingRow,
    HealthShown,
    SystemShown,
    decode_row,
    judged,
    system_judged,
    worst_first,
)
from dashboard.payloads import (
    FleetShown,
    LiveNode,
    ModelRow,
    ModelsShown,
    NodeDetails,
    NodeRow,
    NodesShown,
    QueueShown,
    RequestsShown,
    RunningRequest,
    decode_point,
    finished,
    running,
)
from dashboard.queries import waiting
from dashboard.rows import live_node, model_rows, node_row
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import NodeState, OpenRequest, UsageRecord, decode_open, decode_usage
from ollamamax.contract.health import FleetHealth, decode_health
from ollamamax.contract.tables import NODES, Registered

FLEET, REQUESTS = "fleet", "requests"
"""The two parts in which topics are published: what one part said is remembered together."""
CURSOR, SEEN, RUNNING_TOTAL = "#cursor", "#seen", "#running"
JUDGED, SYSTEM_TOLD = "#judged", "#system"
NODE, MODEL, REQUEST, FINDING = "n:", "m:", "r:", "f:"
MARK = b""
"""The field of a directory table that says whether all of it was published; see `ollamamax.bus.directory`."""
RUNNING_SHOWN = 100
FINISHED_SHOWN = 100
SERIES_POINTS = 300

_log = logs.get(__name__)
_judged = msgspec.json.Decoder(HealthShown).decode
_node, _model = msgspec.json.Decoder(NodeRow).decode, msgspec.json.Decoder(ModelRow).decode
_request, _seen = msgspec.json.Decoder(RunningRequest).decode, msgspec.json.Decoder(dict[str, float]).decode
Row = TypeVar("Row")


@dataclass(frozen=True)
class Said:
    """What the last events of a part said. ``fresh``: a moment ago, so that the next may tell differences only."""

    number: Mapping[str, int]
    fresh: bool
    nodes: Mapping[str, NodeRow]
    models: Mapping[str, ModelRow]
    running: Mapping[str, RunningRequest]
    running_total: int
    seen: Mapping[str, float]
    """Node -> time of its last report."""
    cursor: str | None
    """The stream id of the last record that was told."""
    waited: bool
    findings: Mapping[str, FindingRow]
    judged: bytes
    """How the fleet is, as it was told last, but for its findings; empty where it was not."""
    system: bytes


class Shown(NamedTuple):
    """All of a topic, at the number of its last event."""

    seq: int
    data: msgspec.Struct


async def node_entries(client: redis.asyncio.Redis) -> dict[str, dict[str, Registered]]:
    """Tenant -> node id -> entry, of every node in the directory."""
    tenants: dict[str, dict[str, Registered]] = defaultdict(dict)
    entries: Any = await client.hgetall(keys.directory(NODES.name))
    entries.pop(MARK, None)
    for node, value in entries.items():
        entry = NODES.decode(value)
        tenants[entry.tenant][node.decode()] = entry
    return tenants


async def watched_tenants(client: redis.asyncio.Redis, now: float) -> set[str]:
    """Tenants whose topics somebody has subscribed to."""
    found: Any = await client.zrangebyscore(keys.LIVE_WATCHED, now, "+inf")
    return {tenant.decode() for tenant in found}


async def node_states(client: redis.asyncio.Redis, nodes: Iterable[str]) -> dict[str, NodeState]:
    """States of those of the nodes that report now."""
    return (await read_soon(client, list(nodes))).states


async def open_requests(client: redis.asyncio.Redis) -> dict[str, list[OpenRequest]]:
    """Tenant -> its requests that are admitted and not settled, oldest first."""
    tenants: dict[str, list[OpenRequest]] = defaultdict(list)
    values: Any = await client.hvals(keys.OPEN)
    for request in sorted(map(decode_open, values), key=lambda request: (request.received_at, request.request)):
        tenants[request.tenant].append(request)
    return tenants


async def said(client: redis.asyncio.Redis, tenant: str, part: str) -> Said:
    """What was said last, the numbers of the same moment with it."""
    async with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.live_numbers(tenant))
        pipe.exists(keys.live_mark(tenant, part))
        pipe.hgetall(keys.live_said(tenant, part))
        numbers, fresh, values = await pipe.execute()
    fields = {name.decode(): value for name, value in values.items()}
    return Said(
        number={topic.decode(): int(number) for topic, number in numbers.items()},
        fresh=bool(fresh),
        nodes=_rows(fields, NODE, _node),
        models=_rows(fields, MODEL, _model),
        running=_rows(fields, REQUEST, _request),
        running_total=int(fields.get(RUNNING_TOTAL, 0)),
        seen=_seen(fields[SEEN]) if SEEN in fields else {},
        cursor=fields[CURSOR].decode() if CURSOR in fields else None,
        waited="#waited" in fields,
        findings=_rows(fields, FINDING, decode_row),
        judged=fields.get(JUDGED, b""),
        system=fields.get(SYSTEM_TOLD, b""),
    )


def _rows(fields: Mapping[str, bytes], prefix: str, decode: Any) -> dict[str, Any]:
    found = {}
    for name, value in fields.items():
        if name.startswith(prefix):
            try:
                found[name.removeprefix(prefix)] = decode(value)
            except msgspec.MsgspecError:
                # Written by another version of this program: the row counts as not yet told.
                _log.info("live_row_of_another_version", row=name)
    return found


async def settled_since(
    client: redis.asyncio.Redis, tenant: str, cursor: str | None
) -> tuple[list[UsageRecord], str | None]:
    """Records settled after ``cursor``, newest first and no more than are shown, with the cursor that follows them; without those of shadow traffic."""
    least = f"({cursor}" if cursor else "-"
    found: Any = await client.xrevrange(keys.recent(tenant), "+", least, count=FINISHED_SHOWN)
    # A request that was settled twice is in the stream twice; the usage tables keep the first.
    said = (decode_usage(fields[b"r"]) for _, fields in found)
    records = {record.request: record for record in said if not record.shadow_of}
    return list(records.values()), found[0][0].decode() if found else cursor


async def shown(client: redis.asyncio.Redis, tenant: str, topic: str) -> Shown:
    """All of a published topic. Events with a higher number bring it forward."""
    return await _SHOWN[topic](client, tenant)


async def _fleet(client: redis.asyncio.Redis, tenant: str) -> Shown:
    before = await said(client, tenant, FLEET)
    points: Any = await client.lrange(keys.live_series(tenant), 0, -1)
    return Shown(before.number.get("fleet", 0), FleetShown(tenant, [decode_point(point) for point in points]))


async def health_reports(client: redis.asyncio.Redis, tenant: str) -> tuple[bytes | None, bytes | None]:
    """The last reports on the tenant and on the control plane, as they are in Redis."""
    found: Any = await client.hmget(keys.HEALTH, [tenant, SYSTEM])
    return found[0], found[1]


def health_shown(report: bytes | None, system: bytes | None, now: float) -> tuple[HealthShown, SystemShown]:
    of_system = _report(system)
    return judged(_report(report), of_system, now), system_judged(of_system, now)


def _report(value: bytes | None) -> FleetHealth | None:
    try:
        return None if value is None else decode_health(value)
    except msgspec.MsgspecError:
        # Written by another version of this program, which will soon be gone.
        return None


async def _health(client: redis.asyncio.Redis, tenant: str) -> Shown:
    """What was said, as in `_nodes`; when it was judged is that of the last report."""
    before = await said(client, tenant, FLEET)
    number = before.number.get("health", 0)
    now = health_shown(*await health_reports(client, tenant), time.time())[0]
    if not before.fresh or not before.judged:
        return Shown(number, now)
    told = _judged(before.judged)
    return Shown(number, HealthShown(told.state, now.at, told.counts, worst_first(before.findings.values())))


async def _system(client: redis.asyncio.Redis, tenant: str) -> Shown:
    number = (await said(client, tenant, FLEET)).number.get("system", 0)
    return Shown(number, health_shown(*await health_reports(client, tenant), time.time())[1])


async def _nodes(client: redis.asyncio.Redis, tenant: str) -> Shown:
    """What was said, while that is fresh: what comes next are differences to it. Else the present, and all is told next."""
    before = await said(client, tenant, FLEET)
    rows = list(before.nodes.values())
    if not before.fresh:
        entries = (await node_entries(client)).get(tenant, {})
        states = await node_states(client, entries)
        rows = [node_row(node, entry, states.get(node), before.seen.get(node)) for node, entry in entries.items()]
    rows.sort(key=lambda row: (row.name, row.id))
    return Shown(before.number.get("nodes", 0), NodesShown(rows, len(rows)))


async def _models(client: redis.asyncio.Redis, tenant: str) -> Shown:
    before = await said(client, tenant, FLEET)
    rows = list(before.models.values())
    if not before.fresh:
        states = await node_states(client, (await node_entries(client)).get(tenant, {}))
        rows = list(model_rows(states.values(), (await open_requests(client)).get(tenant, [])).values())
    return Shown(before.number.get("models", 0), ModelsShown(sorted(rows, key=lambda row: row.name)))


async def _requests(client: redis.asyncio.Redis, tenant: str) -> Shown:
    before = await said(client, tenant, REQUESTS)
    records, _ = await settled_since(client, tenant, None)
    rows, total = list(before.running.values()), before.running_total
    if not before.fresh:
        requests = (await open_requests(client)).get(tenant, [])
        rows, total = [running(request) for request in requests[:RUNNING_SHOWN]], len(requests)
    rows.sort(key=lambda row: (row.received_at, row.request))
    return Shown(before.number.get("requests", 0), RequestsShown(rows, total, [finished(record) for record in records]))


async def _queue(client: redis.asyncio.Redis, tenant: str) -> Shown:
    number = (await said(client, tenant, FLEET)).number.get("queue", 0)
    queued = await waiting.count(client, tenant)
    line = await waiting.first(client, tenant, await queue_position.read(client.execute_command)) if queued else []
    return Shown(number, QueueShown(line, queued))


_SHOWN = {
    "fleet": _fleet,
    "health": _health,
    "system": _system,
    "nodes": _nodes,
    "models": _models,
    "requests": _requests,
    "queue": _queue,
}


async def node_details(client: redis.asyncio.Redis, tenant: str, ids: Collection[str]) -> NodeDetails:
    """Those of the nodes that are the tenant's, whole."""
    found: Any = await client.hmget(keys.directory(NODES.name), list(ids)) if ids else []
    entries = {node: NODES.decode(value) for node, value in zip(ids, found, strict=True) if value is not None}
    entries = {node: entry for node, entry in entries.items() if entry.tenant == tenant}
    states = await node_states(client, entries)
    held: Any = await client.hget(keys.live_said(tenant, FLEET), SEEN)
    seen = _seen(held) if held else {}
    nodes: list[LiveNode] = [
        live_node(node, entry, states.get(node), seen.get(node)) for node, entry in entries.items()
    ]
    return NodeDetails(nodes, [node for node in ids if node not in entries])

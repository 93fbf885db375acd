"""Reads what the live page shows. Redis only: the page works while Postgres does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import redis.asyncio

from cluster.dispatch import queue_position
from cluster.telemetry import read_soon
from dashboard.changes import Said, live_node
from dashboard.payloads import Snapshot, decode_point, finished, running
from dashboard.queries import waiting
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import NodeState, OpenRequest, UsageRecord, decode_open, decode_usage
from ollamamax.contract.tables import NODES, Registered

CURSOR = "#cursor"
MARK = b""
"""The field of a directory table that says whether all of it was published; see `ollamamax.bus.directory`."""
RUNNING_SHOWN = 100
FINISHED_SHOWN = 100
SERIES_POINTS = 300

_log = logs.get(__name__)
_decode_said = msgspec.json.Decoder(Said).decode


@dataclass(frozen=True)
class Published:
    """What the last frame of a tenant said of its nodes, and the stream id of the last record it carried."""

    said: Mapping[str, Said]
    cursor: str | None


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
    """Tenants whose live page somebody has open."""
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


async def published(client: redis.asyncio.Redis, tenant: str) -> Published:
    fields: Any = await client.hgetall(keys.live_published(tenant))
    cursor = fields.pop(CURSOR.encode(), None)
    said = {}
    for node, value in fields.items():
        try:
            said[node.decode()] = _decode_said(value)
        except msgspec.MsgspecError:
            # Written by another version of this program: the node counts as not yet told of.
            _log.info("live_entry_of_another_version", node=node.decode())
    return Published(said=said, cursor=cursor.decode() if cursor else None)


async def settled_since(
    client: redis.asyncio.Redis, tenant: str, cursor: str | None
) -> tuple[list[UsageRecord], str | None]:
    """Records settled after ``cursor``, newest first and no more than are shown, with the cursor that follows them."""
    least = f"({cursor}" if cursor else "-"
    found: Any = await client.xrevrange(keys.recent(tenant), "+", least, count=FINISHED_SHOWN)
    # A request that was settled twice is in the stream twice; the usage tables keep the first.
    records = {record.request: record for record in (decode_usage(fields[b"r"]) for _, fields in found)}
    return list(records.values()), found[0][0].decode() if found else cursor


async def snapshot(client: redis.asyncio.Redis, tenant: str, now: float) -> Snapshot:
    """Everything the page of ``tenant`` shows.

    The number is read first: what changed while the rest was read is in a frame with a higher one.
    """
    sequence: Any = await client.get(keys.live_sequence(tenant))
    nodes = (await node_entries(client)).get(tenant, {})
    said = (await published(client, tenant)).said
    states = await node_states(client, nodes)
    requests = (await open_requests(client)).get(tenant, [])
    records, _ = await settled_since(client, tenant, None)
    queued = await waiting.count(client, tenant)
    points: Any = await client.lrange(keys.live_series(tenant), 0, -1)
    return Snapshot(
        seq=int(sequence or 0),
        at=now,
        tenant=tenant,
        nodes=[live_node(node, entry, states.get(node), said.get(node)) for node, entry in nodes.items()],
        running=[running(request) for request in requests[:RUNNING_SHOWN]],
        running_total=len(requests),
        waiting=await waiting.first(client, tenant, await queue_position.read(client.execute_command))
        if queued
        else [],
        waiting_total=queued,
        finished=[finished(record) for record in records],
        series=[decode_point(point) for point in points],
    )

"""Publishes the frames of the live page: once a second, for each tenant whose page somebody has open."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio
from channels.layers import BaseChannelLayer

from cluster.dispatch import queue_position
from cluster.dispatch.queue_position import QueuePositions
from dashboard import groups
from dashboard.changes import changes, totals
from dashboard.payloads import Frame, encode, finished, running
from dashboard.queries import live, waiting
from ollamamax.bus import keys
from ollamamax.contract import OpenRequest
from ollamamax.contract.tables import Registered

_PUBLISH_FRAME = Path(__file__).with_name("publish_frame.lua").read_text()


async def publish_live(
    client: redis.asyncio.Redis, layer: BaseChannelLayer, *, fence: int, now: float | None = None
) -> int:
    """Publish one frame for each tenant whose page somebody has open; how many. ``fence`` is the number of the leadership under which this runs."""
    at = time.time() if now is None else now
    await client.zremrangebyscore(keys.LIVE_WATCHED, "-inf", at)
    watched = sorted(await live.watched_tenants(client, at))
    if not watched:
        return 0
    nodes = await live.node_entries(client)
    requests = await live.open_requests(client)
    read_line = _once(client)
    frames = 0
    for tenant in watched:
        frames += await _publish_tenant(
            client,
            layer,
            tenant,
            nodes.get(tenant, {}),
            requests.get(tenant, []),
            read_line=read_line,
            at=at,
            fence=fence,
        )
    return frames


def _once(client: redis.asyncio.Redis) -> Callable[[], Awaitable[QueuePositions]]:
    """Reads the line of all tenants when it is first asked for, and no second time."""
    read: list[QueuePositions] = []

    async def read_line() -> QueuePositions:
        if not read:
            read.append(await queue_position.read(client.execute_command))
        return read[0]

    return read_line


async def _publish_tenant(
    client: redis.asyncio.Redis,
    layer: BaseChannelLayer,
    tenant: str,
    nodes: dict[str, Registered],
    requests: list[OpenRequest],
    *,
    read_line: Callable[[], Awaitable[QueuePositions]],
    at: float,
    fence: int,
) -> int:
    before = await live.published(client, tenant)
    states = await live.node_states(client, nodes)
    records, cursor = await live.settled_since(client, tenant, before.cursor)
    changed = changes(nodes, states, before.said)
    queued = await waiting.count(client, tenant)
    point = totals(len(nodes), list(states.values()), at, queued=queued)
    arguments: list[Any] = [fence, encode(point), live.SERIES_POINTS, cursor or "", len(changed.said)]
    for node, said in changed.said.items():
        arguments += [node, msgspec.json.encode(said)]
    sequence: Any = await client.eval(
        _PUBLISH_FRAME,
        4,
        keys.LOOPS_FENCE,
        keys.live_sequence(tenant),
        keys.live_series(tenant),
        keys.live_published(tenant),
        *arguments,
        *changed.gone,
    )
    if not sequence:
        return 0
    frame = Frame(
        seq=int(sequence),
        at=at,
        nodes=changed.nodes,
        gone=changed.gone,
        running=[running(request) for request in requests[: live.RUNNING_SHOWN]],
        running_total=len(requests),
        waiting=await waiting.first(client, tenant, await read_line()) if queued else [],
        waiting_total=queued,
        finished=[finished(record) for record in records],
        point=point,
    )
    # A process that dies here leaves a number without a frame: viewers see the hole and start anew.
    await layer.group_send(
        groups.live(tenant), {"type": "live.frame", "seq": frame.seq, "text": encode(frame).decode()}
    )
    return 1

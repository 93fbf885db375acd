"""Publishes the events of the live topics, for each tenant that somebody watches: most once a second, requests four times."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio

from cluster.dispatch import queue_position
from cluster.dispatch.queue_position import QueuePositions
from dashboard.health_rows import HealthChange, HealthShown, SystemShown
from dashboard.payloads import (
    FleetChange,
    QueueShown,
    RequestsChange,
    difference,
    encode,
    finished,
    running,
)
from dashboard.queries import live, waiting
from dashboard.queries.live import CURSOR, FLEET, REQUESTS, SEEN, Said
from dashboard.rows import changes, model_rows, node_row, totals
from dashboard.topics import TOPICS
from ollamamax.bus import keys
from ollamamax.contract import OpenRequest
from ollamamax.contract.tables import Registered

_PUBLISH = Path(__file__).with_name("publish_topics.lua").read_text()
MARK_MILLISECONDS = 4000
"""What was said longer ago than this is told whole again: nobody watched, or nobody published."""
KEPT_SECONDS = 300
_WAITED = "#waited"


@dataclass
class _Events:
    """Of one tenant and one run: data by topic, and what is to be remembered of it."""

    data: dict[str, bytes] = field(default_factory=dict)
    said: dict[str, bytes] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    point: bytes = b""


async def publish_live(client: redis.asyncio.Redis, *, fence: int, now: float | None = None) -> int:
    """Publish what changed of nodes, models, queue and totals for each watched tenant; how many tenants.

    ``fence`` is the number of the leadership under which this runs.
    """
    at = time.time() if now is None else now
    await client.zremrangebyscore(keys.LIVE_WATCHED, "-inf", at)
    watched = sorted(await live.watched_tenants(client, at))
    if not watched:
        return 0
    nodes = await live.node_entries(client)
    requests = await live.open_requests(client)
    read_line = _once(client)
    published = 0
    for tenant in watched:
        said = await live.said(client, tenant, FLEET)
        events = await _fleet_events(
            client, tenant, nodes.get(tenant, {}), requests.get(tenant, []), said, read_line=read_line, at=at
        )
        published += await _publish(client, tenant, FLEET, said, events, fence=fence, at=at)
    return published


async def publish_requests(client: redis.asyncio.Redis, *, fence: int, now: float | None = None) -> int:
    """Publish which requests began and ended for each watched tenant where any did; how many tenants."""
    at = time.time() if now is None else now
    watched = sorted(await live.watched_tenants(client, at))
    if not watched:
        return 0
    requests = await live.open_requests(client)
    published = 0
    for tenant in watched:
        said = await live.said(client, tenant, REQUESTS)
        events = await _request_events(client, tenant, requests.get(tenant, []), said)
        published += await _publish(client, tenant, REQUESTS, said, events, fence=fence, at=at)
    return published


def _once(client: redis.asyncio.Redis) -> Callable[[], Awaitable[QueuePositions]]:
    """Reads the line of all tenants when it is first asked for, and no second time."""
    read: list[QueuePositions] = []

    async def read_line() -> QueuePositions:
        if not read:
            read.append(await queue_position.read(client.execute_command))
        return read[0]

    return read_line


async def _fleet_events(
    client: redis.asyncio.Redis,
    tenant: str,
    nodes: Mapping[str, Registered],
    requests: Sequence[OpenRequest],
    said: Said,
    *,
    read_line: Callable[[], Awaitable[QueuePositions]],
    at: float,
) -> _Events:
    states = await live.node_states(client, nodes)
    queued = await waiting.count(client, tenant)
    point = totals(len(nodes), list(states.values()), at, queued=queued)
    seen = {node: state.at for node, state in states.items()}
    seen |= {node: then for node, then in said.seen.items() if node in nodes and node not in seen}
    rows = {node: node_row(node, entry, states.get(node), seen.get(node)) for node, entry in nodes.items()}
    events = _Events(point=encode(point))
    events.data["fleet"] = encode(FleetChange([point]))
    told_nodes = changes(rows, said.nodes if said.fresh else {})
    gone = [node for node in said.nodes if node not in rows]
    if told_nodes.changed or gone or not said.fresh:
        events.data["nodes"] = msgspec.json.encode(
            {"changed": told_nodes.changed, "gone": gone, "total": len(rows), "whole": not said.fresh}
        )
    models = model_rows(states.values(), requests)
    told_models = changes(models, said.models if said.fresh else {})
    gone_models = [name for name in said.models if name not in models]
    if told_models.changed or gone_models or not said.fresh:
        events.data["models"] = msgspec.json.encode(
            {"changed": told_models.changed, "gone": gone_models, "whole": not said.fresh}
        )
    await _tell_health(client, tenant, said, events, at)
    if queued or said.waited or not said.fresh:
        line = await waiting.first(client, tenant, await read_line()) if queued else []
        events.data["queue"] = encode(QueueShown(waiting=line, waiting_total=queued))
    events.said |= {
        **{live.NODE + node: value for node, value in told_nodes.said.items()},
        **{live.MODEL + name: value for name, value in told_models.said.items()},
        SEEN: encode(seen),
    }
    events.gone += [*(live.NODE + node for node in gone), *(live.MODEL + name for name in gone_models)]
    if queued:
        events.said[_WAITED] = b"1"
    else:
        events.gone.append(_WAITED)
    return events


async def _tell_health(client: redis.asyncio.Redis, tenant: str, said: Said, events: _Events, at: float) -> None:
    """Add what changed of how the fleet and the control plane are."""
    health, system = live.health_shown(*await live.health_reports(client, tenant), at)
    rows = {row.key: row for row in health.findings}
    before = said.findings if said.fresh else {}
    changed = {key: row for key, row in rows.items() if before.get(key) != row}
    gone = [key for key in said.findings if key not in rows]
    # When it was judged is told along, and alone is no news.
    facts = encode(HealthShown(health.state, None, health.counts, []))
    if changed or gone or facts != said.judged or not said.fresh:
        change = HealthChange(health.state, health.at, health.counts, changed, gone, whole=not said.fresh)
        events.data["health"] = encode(change)
        events.said |= {live.FINDING + key: encode(row) for key, row in changed.items()}
        events.said[live.JUDGED] = facts
        events.gone += [live.FINDING + key for key in gone]
    of_system = encode(SystemShown(system.state, None, system.findings))
    if of_system != said.system or not said.fresh:
        events.data["system"] = encode(system)
        events.said[live.SYSTEM_TOLD] = of_system


async def _request_events(
    client: redis.asyncio.Redis, tenant: str, requests: Sequence[OpenRequest], said: Said
) -> _Events:
    records, cursor = await live.settled_since(client, tenant, said.cursor)
    shown = {request.request: running(request) for request in requests[: live.RUNNING_SHOWN]}
    before = said.running if said.fresh else {}
    begun = [request for key, request in shown.items() if key not in before or difference(before[key], request)]
    ended = [key for key in said.running if key not in shown]
    events = _Events()
    total = len(requests)
    if begun or ended or records or total != said.running_total or not said.fresh:
        change = RequestsChange(
            running=begun,
            ended=ended,
            running_total=total,
            finished=[finished(record) for record in records],
            whole=not said.fresh,
        )
        events.data["requests"] = encode(change)
    events.said = {live.REQUEST + request.request: encode(request) for request in begun}
    events.said[live.RUNNING_TOTAL] = str(total).encode()
    if cursor is not None:
        events.said[CURSOR] = cursor.encode()
    events.gone = [live.REQUEST + key for key in ended]
    return events


async def _publish(
    client: redis.asyncio.Redis, tenant: str, part: str, said: Said, events: _Events, *, fence: int, at: float
) -> int:
    """1 when it was published, or when nothing was to be said; 0 when somebody else leads, or what it builds on has lapsed."""
    arguments: list[Any] = [
        fence,
        int(said.fresh),
        # Of a Redis that lost everything, too, no number comes twice: they begin at the milliseconds of the clock.
        int(at * 1000),
        MARK_MILLISECONDS,
        events.point,
        live.SERIES_POINTS,
        KEPT_SECONDS,
        len(events.data),
    ]
    for topic, data in events.data.items():
        arguments += [topic, TOPICS[topic].held, data]
    arguments.append(len(events.said))
    for name, value in events.said.items():
        arguments += [name, value]
    named = [
        keys.LOOPS_FENCE,
        keys.live_numbers(tenant),
        keys.live_said(tenant, part),
        keys.live_mark(tenant, part),
        keys.live_series(tenant),
        *(keys.live_events(tenant, topic) for topic in events.data),
    ]
    published: Any = await client.eval(_PUBLISH, len(named), *named, *arguments, *events.gone)
    return int(int(published) >= 0)

"""Reads several live topics once, for who asks again and again instead of listening."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings

from dashboard.payloads import NodesShown
from dashboard.queries import live, trail
from dashboard.topics import PUBLISHED
from ollamamax.bus import keys
from ollamamax.bus.connect import connect_async

WATCHED_SECONDS = 15.0


async def poll(
    tenant: str,
    topics: Mapping[str, frozenset[str] | None],
    *,
    ids: Sequence[str] | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Topic -> ``seq``, ``at`` and ``data`` as a snapshot has them. ``topics`` are those wanted, each with the only nodes that
    may be seen, or ``None``. Who polls counts as who watches. Raises `RedisError`, `DatabaseError`."""
    found: dict[str, Any] = {}
    async with connect_async(settings.REDIS_URL) as client:
        await client.zadd(keys.LIVE_WATCHED, {tenant: time.time() + WATCHED_SECONDS})
        for topic, allowed in topics.items():
            seq = 0
            data: msgspec.Struct
            if topic == "node":
                data = await live.node_details(
                    client, tenant, [node for node in ids or () if allowed is None or node in allowed]
                )
            elif topic in PUBLISHED:
                seq, data = await live.shown(client, tenant, topic)
            elif topic in trail.ROWS:
                data = await database_sync_to_async(trail.ROWS[topic])(tenant)
            else:
                seq, data = await database_sync_to_async(trail.trail)(tenant, topic)
            if isinstance(data, NodesShown):
                rows = [row for row in data.nodes if allowed is None or row.id in allowed]
                data = NodesShown(rows[:limit], len(rows))
            found[topic] = {"seq": seq, "at": time.time(), "data": msgspec.to_builtins(data)}
    return found

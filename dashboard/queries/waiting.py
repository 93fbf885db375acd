"""Reads what waits for a free slot: how many requests of a tenant, and which of them are served first."""

from __future__ import annotations

from typing import Any

import msgspec
import redis.asyncio

from cluster.dispatch.queue_position import QueuePositions
from dashboard.payloads import WaitingRequest
from ollamamax.bus import keys
from ollamamax.contract import decode_open

SHOWN = 100


class _Admission(msgspec.Struct):
    """Of `keys.queue_entry`, what the page needs: ``open`` is the open record without its leading brace."""

    open: str


_decode = msgspec.msgpack.Decoder(_Admission).decode


async def count(client: redis.asyncio.Redis, tenant: str) -> int:
    return int(await client.zcard(keys.queue_tenant(tenant)))


async def first(client: redis.asyncio.Redis, tenant: str, line: QueuePositions) -> list[WaitingRequest]:
    """At most `SHOWN` of the tenant's requests, the next first, with their places in ``line``.

    One reading of the line serves every tenant. Whoever joined it since is in the next frame.
    """
    ids: Any = await client.zrange(keys.queue_tenant(tenant), 0, SHOWN - 1)
    async with client.pipeline(transaction=False) as pipe:
        for request in ids:
            pipe.hget(keys.queue_entry(request.decode()), "a")
        admissions = await pipe.execute()
    found = [
        _waiting(request, admission, line)
        for request, admission in zip((each.decode() for each in ids), admissions, strict=True)
        if admission is not None and request in line.places
    ]
    found.sort(key=lambda each: each.position)
    return found


def _waiting(request: str, admission: bytes, line: QueuePositions) -> WaitingRequest:
    opened = decode_open(b"{" + _decode(admission).open.encode())
    place = line.places[request]
    return WaitingRequest(
        request=request,
        model=opened.model,
        api=opened.api,
        priority=opened.priority,
        received_at=opened.received_at,
        position=place.position,
        expected_wait_ms=None if place.seconds is None else round(place.seconds * 1000),
    )

"""The control loops of the live topics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from asgiref.sync import async_to_sync

from dashboard.actions import live
from ollamamax.bus import keys
from ollamamax.bus.connect import connect_async
from ollamamax.bus.loops import Leader, LeaseOf, loop


@loop("dashboard.publish_live", every=1.0, lease=LeaseOf.REDIS)
def publish_live(leader: Leader) -> None:
    _run(leader, live.publish_live)


@loop("dashboard.publish_requests", every=0.25, lease=LeaseOf.REDIS)
def publish_requests(leader: Leader) -> None:
    _run(leader, live.publish_requests)


def _run(leader: Leader, publish: Callable[..., Awaitable[int]]) -> None:
    if leader.region.client.zcount(keys.LIVE_WATCHED, time.time(), "+inf"):
        async_to_sync(_publish)(publish, leader.region.redis_url, leader.fence)


async def _publish(publish: Callable[..., Awaitable[int]], redis_url: str, fence: int) -> None:
    async with connect_async(redis_url) as client:
        await publish(client, fence=fence)

"""The control loop of the live page."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from dashboard.actions import live
from ollamamax.bus.connect import connect_async
from ollamamax.bus.loops import Leader, LeaseOf, loop


@loop("dashboard.publish_live", every=1.0, lease=LeaseOf.REDIS)
def publish_live(leader: Leader) -> None:
    async_to_sync(_publish)(leader.region.redis_url, leader.fence)


async def _publish(redis_url: str, fence: int) -> None:
    async with connect_async(redis_url) as client:
        await live.publish_live(client, get_channel_layer(), fence=fence)

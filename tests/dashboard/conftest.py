"""An empty Redis, a fleet of the owner's tenant, and the frames that its viewers would get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import redis
import redis.asyncio
from channels.layers import channel_layers, get_channel_layer
from django.conf import settings

from dashboard import groups
from dashboard.actions import live
from dashboard.payloads import Frame, decode
from ollamamax.bus import keys
from ollamamax.bus.connect import connect, connect_async
from ollamamax.kernel.ids import new_id
from tests.dashboard.fleet import Fleet


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with connect(settings.REDIS_URL) as opened:
        opened.flushdb()
        yield opened


@pytest_asyncio.fixture
async def aclient(client: redis.Redis) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect_async(settings.REDIS_URL) as opened:
        yield opened


@pytest.fixture
def fleet(client: redis.Redis) -> Fleet:
    return Fleet(client, new_id())


class Seat:
    """Stands in the tenant's group, as a consumer does."""

    def __init__(self, tenant: str) -> None:
        self.layer: Any = get_channel_layer()
        self.tenant = tenant
        self.channel = ""

    async def join(self) -> None:
        self.channel = await self.layer.new_channel()
        await self.layer.group_add(groups.live(self.tenant), self.channel)

    async def frame(self) -> Frame:
        message = await self.layer.receive(self.channel)
        frame = decode(message["text"])
        assert isinstance(frame, Frame)
        assert frame.seq == message["seq"]
        return frame


@pytest_asyncio.fixture
async def seat(fleet: Fleet) -> AsyncIterator[Seat]:
    channel_layers.backends.clear()
    joined = Seat(fleet.tenant)
    await joined.join()
    yield joined
    await joined.layer.flush()
    channel_layers.backends.clear()


async def publish(client: redis.asyncio.Redis, *, now: float | None = None) -> int:
    """One run of the loop, by its leader."""
    return await live.publish_live(client, get_channel_layer(), fence=await lead(client), now=now)


async def lead(client: redis.asyncio.Redis) -> int:
    """The number under which a new process leads."""
    fence: int = await client.incr(keys.LOOPS_FENCE)
    return fence

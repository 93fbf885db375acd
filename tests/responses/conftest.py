"""The house of the batches, whose tenant has responses kept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest_asyncio
from channels.db import database_sync_to_async

from cluster.dispatch.admission import Bounds
from ollamamax.bus.work_calls import WorkCalls
from ollamamax.contract.tables import TENANTS
from ollamamax.identity.actions.tenant import change_own_tenant
from ollamamax.kernel.tasks import end
from ollamamax.responses.runner.background import BackgroundResponses
from tests.batches.conftest import House, house, people
from tests.gateway.conftest import gateway_of, stop_gateway
from tests.patience import until

__all__ = ["house", "people"]


@pytest_asyncio.fixture
async def keeping(house: House) -> AsyncIterator[House]:
    """With a node that answers what it was told last."""
    await store_responses(house, wanted=True)
    await house.add_node()
    yield house


@pytest_asyncio.fixture
async def background(keeping: House) -> AsyncIterator[BackgroundResponses]:
    async with making(keeping) as runner:
        yield runner


@contextlib.asynccontextmanager
async def making(house: House) -> AsyncIterator[BackgroundResponses]:
    """Who makes responses in the background, in this process."""
    gateway = gateway_of(house.redis_url, max_body=50_000, bounds=Bounds(20, 10))
    async with WorkCalls(house.redis_url) as calls:
        runner = BackgroundResponses(gateway, calls, concurrency=4)
        task = asyncio.create_task(runner.run())
        yield runner
        await end([task])
    await stop_gateway(gateway)


async def store_responses(house: House, *, wanted: bool) -> None:
    """As the tenant's owner sets it."""
    change = database_sync_to_async(change_own_tenant, thread_sensitive=False)
    await change(acting=house.owner.acting, store_responses=wanted)
    directory = (await house.gateway.start()).directory
    tenant = house.owner.tenant.id.hex
    await until(lambda: (known := directory.get(TENANTS, tenant)) is not None and known.store_responses is wanted)

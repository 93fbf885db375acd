"""A command that finds no connection free waits for one, and what fails gives its place back."""

from __future__ import annotations

import asyncio

import pytest
import redis
from redis.exceptions import ConnectionError as NotConnected

from ollamamax.bus import connect
from tests.servers import free_port


async def test_more_commands_at_once_than_connections(valkey: redis.Redis, redis_url: str) -> None:
    client = connect.connect_async(redis_url)
    try:
        answers = await asyncio.gather(*(client.incr("n") for _ in range(1000)))
        assert sorted(answers) == list(range(1, 1001))
        assert 0 < len(client.connection_pool._available_connections) <= connect.MOST_CONNECTIONS
    finally:
        await client.aclose()


async def test_connections_that_fail_are_not_lost_to_others() -> None:
    client = connect.connect_async(f"redis://127.0.0.1:{free_port()}/0")
    try:
        for _ in range(3):
            answers = await asyncio.gather(
                *(client.ping() for _ in range(connect.MOST_CONNECTIONS)), return_exceptions=True
            )
            assert all(isinstance(answer, NotConnected) for answer in answers)
        assert isinstance(client.connection_pool, connect.WaitingPool)
        assert client.connection_pool._free._value == connect.MOST_CONNECTIONS
    finally:
        await client.aclose()


async def test_a_command_that_is_cancelled_gives_its_connection_back(valkey: redis.Redis, redis_url: str) -> None:
    client = connect.connect_async(redis_url, blocking=True)
    try:
        waiting = [asyncio.create_task(client.blpop(["none"], 30)) for _ in range(connect.MOST_CONNECTIONS)]
        async with asyncio.timeout(10):
            while sum(each["cmd"] == "blpop" for each in valkey.client_list()) < connect.MOST_CONNECTIONS:
                await asyncio.sleep(0.01)
        ping = asyncio.create_task(client.ping())
        waiting[0].cancel()
        async with asyncio.timeout(5):
            assert await ping
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        await client.aclose()


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
def test_every_kind_of_address_is_understood(scheme: str) -> None:
    address = "unix:///tmp/x.sock?db=1" if scheme == "unix" else f"{scheme}://u:p@127.0.0.1:1/0"
    assert isinstance(connect.connect_async(address).connection_pool, connect.WaitingPool)

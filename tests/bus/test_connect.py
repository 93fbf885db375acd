"""Connections to Redis: many commands at once wait for one, and none is refused."""

from __future__ import annotations

import asyncio
import os

from ollamamax.bus.connect import CONNECTIONS, connect_async


async def test_a_thousand_commands_at_once_are_all_answered() -> None:
    client = connect_async(os.environ["REDIS_URL"])
    answers = await asyncio.gather(*(client.echo(str(number)) for number in range(1000)))
    assert answers == [str(number).encode() for number in range(1000)]
    connections = client.connection_pool
    assert len(connections._available_connections) <= CONNECTIONS
    await client.aclose()

"""Connections to Redis: hundreds of commands at once are all answered."""

from __future__ import annotations

import asyncio
import os

from ollamamax.bus.connect import connect_async


async def test_more_commands_at_once_than_the_usual_pool_has_connections() -> None:
    client = connect_async(os.environ["REDIS_URL"])
    answers = await asyncio.gather(*(client.echo(str(number)) for number in range(500)))
    assert answers == [str(number).encode() for number in range(500)]
    await client.aclose()

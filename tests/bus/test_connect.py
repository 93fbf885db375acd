"""Connections to Redis: hundreds of commands at once are all answered, and a task that is cancelled while it asks ends."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis.asyncio

from ollamamax.bus.connect import connect_async
from tests.patience import LONG
from tests.worker.test_redis_addresses import write_certificate


async def test_more_commands_at_once_than_the_usual_pool_has_connections() -> None:
    client = connect_async(os.environ["REDIS_URL"])
    answers = await asyncio.gather(*(client.echo(str(number)) for number in range(500)))
    assert answers == [str(number).encode() for number in range(500)]
    await client.aclose()


async def _agree(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers OK to every command."""
    said = hiredis.Reader()
    with suppress(OSError):
        while data := await reader.read(65536):
            said.feed(data)
            while said.gets() is not False:
                writer.write(b"+OK\r\n")
    writer.close()


@asynccontextmanager
async def _served(kind: str, folder: Path) -> AsyncIterator[str]:
    """A server in this loop, whose turns are the same in every run, and its URL."""
    if kind == "unix":
        async with await asyncio.start_unix_server(_agree, folder / "socket"):
            yield f"unix://{folder}/socket"
        return
    context, query = None, ""
    if kind == "rediss":
        chain, secret = write_certificate(folder)
        context, query = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), f"?ssl_ca_certs={chain}"
        context.load_cert_chain(chain, secret)
    async with await asyncio.start_server(_agree, "127.0.0.1", 0, ssl=context) as server:
        yield f"{kind}://127.0.0.1:{server.sockets[0].getsockname()[1]}{query}"


async def _pipeline(client: redis.asyncio.Redis) -> Any:
    async with client.pipeline(transaction=False) as pipeline:
        return await pipeline.set("a", 1).set("b", 2).execute()


async def _subscribe(client: redis.asyncio.Redis) -> Any:
    async with client.pubsub() as heard:
        return await heard.subscribe("a")


ASKED: list[Callable[[redis.asyncio.Redis], Awaitable[Any]]] = [
    lambda client: client.set("a", 1),
    _pipeline,
    _subscribe,
]


@pytest.mark.parametrize("ask", ASKED, ids=["command", "pipeline", "subscription"])
@pytest.mark.parametrize("kind", ["redis", "rediss", "unix"])
async def test_a_task_cancelled_in_any_turn_of_the_loop_ends_there(
    kind: str, ask: Callable[[redis.asyncio.Redis], Awaitable[Any]], tmp_path: Path
) -> None:
    """Redis's answer and the cancellation come in the same turn, among all others: the cancellation counts."""
    async with _served(kind, tmp_path) as url, aclosing(connect_async(url)) as client:
        for connected in (False, True):
            turns, done = 0, False
            while not done:
                if connected:
                    await client.set("a", 1)
                else:
                    await client.connection_pool.disconnect()
                task = asyncio.ensure_future(ask(client))
                for _ in range(turns):
                    await asyncio.sleep(0)
                done = task.done()
                task.cancel()
                await asyncio.wait([task], timeout=LONG)
                assert done or task.cancelled(), f"cancelled in turn {turns}: {task}"
                turns += 1
            assert turns > 1

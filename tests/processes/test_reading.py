"""Connections that bring something at once are parsed in turns: each of them whole, each once, few at a time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from ollamamax.gateway.http import OWNER, Owner, read_body, respond
from ollamamax.processes.door.connections import Connections
from ollamamax.processes.door.meter import WireBounds
from ollamamax.processes.door.on_uvicorn import Door, protocols
from ollamamax.processes.door.reading import Reading
from ollamamax.processes.leaving import Leaving
from ollamamax.processes.server import _listen
from ollamamax.processes.uvicorn_server import Server
from tests.patience import LONG, until


class Some:
    def __init__(self, name: str, order: list[str]) -> None:
        self.owner = Owner(name)
        self._order = order

    def read(self) -> None:
        self._order.append(self.owner.name)


@pytest.mark.parametrize("seed", range(20))
async def test_an_owner_waits_for_one_read_of_each_other_owner_at_most(seed: int) -> None:
    rng = random.Random(seed)
    most, floods, own = rng.randint(1, 9), rng.randint(1, 4), rng.randint(1, 10)
    reading, order = Reading(most), list[str]()
    turns = 0

    def come(name: str) -> None:
        each = Some(name, order)
        if reading.may_read():
            each.read()
        else:
            reading.wait(each)

    flood = [f"flood {number}" for number in range(floods) for _ in range(rng.randint(20, 200))]
    rng.shuffle(flood)
    for name in flood:
        come(name)
    assert len(order) == min(most, len(flood))
    for _ in range(rng.randint(0, 3)):
        await asyncio.sleep(0)
    before = len(order)
    for _ in range(own):
        come("small")
    while len(order) < len(flood) + own:
        had = len(order)
        await asyncio.sleep(0)
        assert len(order) - had <= most
        turns += 1
        assert turns < 10_000
    last = max(place for place, name in enumerate(order) if name == "small")
    each = Counter(order[before:last])
    assert each.pop("small", 0) == own - 1
    assert sum(each.values()) <= own * floods + most
    assert Counter(order) == Counter(flood) + Counter({"small": own})
    assert not reading._waiting


class Served:
    """A server of the front door whose application says what it was sent."""

    def __init__(self, keep_alive: int) -> None:
        self.owners: list[str] = []
        self.door = Door(WireBounds(), Connections(5000, 5000), Leaving(0.0, 1.0), Reading(2))
        http, websocket = protocols(self.door)
        self._listening = _listen("127.0.0.1", 0, shared=False)
        self.port = self._listening.getsockname()[1]
        config = uvicorn.Config(
            self._say,
            loop="none",
            http=http,
            ws=websocket,
            interface="asgi3",
            proxy_headers=False,
            access_log=False,
            lifespan="off",
            log_config=None,
            timeout_keep_alive=keep_alive,
        )
        self.server = Server(config, self.door, self._listening)

    async def _say(self, scope: Any, receive: Any, send: Any) -> None:
        self.owners.append(scope[OWNER].name)
        scope[OWNER].name = scope["path"][1:]
        await respond(send, 200, await read_body(scope, receive, 1 << 20))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(self.server.serve([self._listening]))
        try:
            await until(lambda: self.server.started)
            yield
        finally:
            self.server.should_exit = True
            await serving


async def _answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(LONG):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return await reader.readexactly(length)


async def test_all_that_comes_at_once_is_answered_whatever_its_pieces() -> None:
    served = Served(75)
    rng = random.Random(5)

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        bodies = [f"{number} {place} ".encode() * rng.choice((1, 3000)) for place in range(2)]
        sent = b"".join(
            f"POST /tenant{number % 3} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
            for body in bodies
        )
        cut = rng.randint(1, len(sent) - 1)
        for piece in (sent[:cut], sent[cut:]):
            writer.write(piece)
            await writer.drain()
        for body in bodies:
            assert await _answer(reader) == body
        writer.close()

    async with served.running():
        await asyncio.gather(*map(one, range(120)))
    assert Counter(served.owners) == {"127.0.0.1": 120, "tenant0": 40, "tenant1": 40, "tenant2": 40}


async def test_a_connection_that_rests_is_closed() -> None:
    served = Served(1)
    async with served.running():
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await _answer(reader) == b""
        async with asyncio.timeout(LONG):
            assert await reader.read() == b""
        writer.close()

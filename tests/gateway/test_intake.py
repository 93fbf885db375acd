"""A flood of one tenant is refused before its bodies are read; another tenant's requests are served beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ollamamax.contract.tables import MODELS
from ollamamax.gateway.intake import Intake
from ollamamax.gateway.standalone import Standalone
from tests.gateway.conftest import BOUNDS, Site, gateway_of, listening, started, stop_gateway
from tests.gateway.waiting import ASK, Gate
from tests.patience import LONG, until
from tests.servers import free_port

FLOOD = 300
MOST = 16 + BOUNDS.waiting_of_tenant


@pytest_asyncio.fixture
async def narrow(site: Site) -> AsyncIterator[Site]:
    """The site behind a gateway that takes in few requests of a tenant at once."""
    gateway = gateway_of(site.redis_url, intake=16)
    port = free_port()
    async with listening(Standalone(gateway), port):
        site.gateway, before = gateway, site.gateway
        site.url, old = f"http://127.0.0.1:{port}", site.url
        await started(gateway)
        yield site
        site.gateway, site.url = before, old
        await stop_gateway(gateway)


class Client:
    """A connection of its own; whatever comes back is read until the server closes it."""

    def __init__(self, site: Site, path: str, key: str, body: bytes, length: int | None = None) -> None:
        name = "x-api-key: " if path == "/v1/messages" else "authorization: Bearer "
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{name}{key}\r\ncontent-length: {length or len(body)}\r\n\r\n"
        self._port = int(site.url.rpartition(":")[2])
        self._sent = head.encode() + body

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.writer.write(self._sent)

    async def answer(self) -> bytes:
        await self.open()
        async with asyncio.timeout(LONG):
            found = await self.reader.read()
        self.writer.close()
        return found


async def _halves(site: Site) -> list[Client]:
    """As many requests without their bodies as are taken in of the tenant."""
    halves = [Client(site, "/v1/chat/completions", site.key, b"", 100) for _ in range(MOST)]
    for half in halves:
        await half.open()
    await until(lambda: site.gateway._intake._of.get(site.tenant) == MOST)
    return halves


async def test_a_flood_is_refused_and_another_tenant_served(narrow: Site, stranger: str) -> None:
    await narrow.add_node(shared=True)
    service = await narrow.gateway.start()
    narrow.publish_for("*")
    await until(lambda: service.directory.get(MODELS, "*/echo:latest") is not None)
    halves = await _halves(narrow)
    body = json.dumps(ASK).encode()
    protocols = ("/v1/chat/completions", "/v1/messages", "/api/chat")
    flood = [
        asyncio.create_task(Client(narrow, protocols[number % 3], narrow.key, body).answer())
        for number in range(FLOOD - MOST)
    ]
    served = []
    for _ in range(10):
        async with narrow.post("/v1/chat/completions", ASK, key=stranger) as response:
            served.append((response.status, "one two three" in await response.text()))
    assert served == [(200, True)] * 10
    for number, task in enumerate(flood):
        head, _, text = (await task).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 "), head
        assert b"retry-after: 2" in head
        assert b"connection: close" in head
        error = json.loads(text)["error"]
        if protocols[number % 3] == "/api/chat":
            assert "wait here already" in error
        else:
            assert "wait here already" in error["message"]
    for half in halves:
        half.writer.close()
    await until(lambda: not narrow.gateway._intake._of)
    async with narrow.get("/v1/models") as response:
        assert response.status == 200


async def test_a_body_that_is_long_is_not_waited_for(narrow: Site) -> None:
    halves = await _halves(narrow)
    late = Client(narrow, "/v1/chat/completions", narrow.key, b"{", 90_000)
    await late.open()
    async with asyncio.timeout(LONG):
        head = await late.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    for client in (late, *halves):
        client.writer.close()


async def test_who_pretends_to_be_a_tenant_takes_none_of_its_places(narrow: Site) -> None:
    wrong = narrow.key[:-4] + ("aaaa" if narrow.key[-4:] != "aaaa" else "bbbb")
    async with narrow.get("/v1/models", key=wrong) as response:
        assert response.status == 401
    clients = [Client(narrow, "/v1/chat/completions", wrong, b"", 100) for _ in range(FLOOD // 10)]
    for client in clients:
        await client.open()
    async with narrow.get("/v1/models") as response:
        assert response.status == 200
    for client in clients:
        client.writer.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_what_runs_takes_no_place(narrow: Site, stream: bool) -> None:
    gate = Gate()
    await narrow.add_node(script=gate, capacity=2 * MOST)

    async def ask() -> int:
        async with narrow.post("/v1/chat/completions", {**ASK, "stream": stream}) as response:
            await response.read()
            return int(response.status)

    running = [asyncio.create_task(ask()) for _ in range(MOST)]
    await until(lambda: len(gate.said) == MOST)
    await until(lambda: not narrow.gateway._intake._of)
    running += [asyncio.create_task(ask()) for _ in range(MOST)]
    await until(lambda: len(gate.said) == 2 * MOST)
    gate.let(2 * MOST)
    assert set(await asyncio.gather(*running)) == {200}


def test_a_place_is_left_once() -> None:
    intake = Intake(2)
    first, second = intake.enter("a"), intake.enter("a")
    assert first is not None
    assert second is not None
    assert intake.enter("a") is None
    assert intake.enter("b") is not None
    first.leave()
    first.leave()
    assert intake.enter("a") is not None
    assert intake.enter("a") is None

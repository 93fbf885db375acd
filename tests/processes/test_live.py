"""The console's live events over a real WebSocket of the real web process, on every server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import redis
import redis.asyncio
from channels.db import database_sync_to_async
from channels.layers import channel_layers, get_channel_layer
from django.conf import settings
from django.db import connection

from dashboard import consumers
from ollamamax.bus import directory, keys
from ollamamax.bus.connect import connect_async
from ollamamax.contract.tables import ALL
from ollamamax.processes.server import GRACE_SECONDS
from tests import cast
from tests.dashboard.conftest import publish
from tests.dashboard.fleet import Fleet
from tests.patience import BUSY, LONG, until
from tests.processes.test_gateway import KEPT, SERVERS
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Page:
    """Somebody's browser, and the process it talks to."""

    port: int
    process: Process
    http: aiohttp.ClientSession
    cookie: str

    async def open(
        self, *topics: str, origin: str = "", cookie: str | None = None, key: str = ""
    ) -> aiohttp.ClientWebSocketResponse:
        address = f"http://127.0.0.1:{self.port}"
        headers = {"Origin": origin or address, "Cookie": self.cookie if cookie is None else cookie}
        if key:
            headers = {"Authorization": f"Bearer {key}"}
        socket = await self.http.ws_connect(f"{address}/ws/live/", headers=headers, max_msg_size=0)
        for topic in topics:
            await socket.send_json({"type": "subscribe", "topic": topic})
        return socket


@contextlib.asynccontextmanager
async def page(folder: Path, server: str, person: cast.Person) -> AsyncIterator[Page]:
    port = free_port()
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    environ = {name: os.environ[name] for name in KEPT if name in os.environ} | {
        "DATABASE_URL": database,
        "REDIS_URL": settings.REDIS_URL,
        "OLLAMAMAX_SECRET_KEY": settings.SECRET_KEY,
        "OLLAMAMAX_HOME": str(folder),
        "OLLAMAMAX_ASGI_SERVER": server,
        "OLLAMAMAX_LEAVE_SECONDS": "1",
        "PORT": str(port),
    }
    client = await database_sync_to_async(cast.logged_in)(person)
    channel_layers.backends.clear()
    _publish_as_it_is()
    log = folder / "web.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ollamamax.cli", "web", env=environ, stdout=out, stderr=out
        )
    try:
        async with aiohttp.ClientSession() as http:
            async with asyncio.timeout(LONG):
                while not await _answers(http, port):
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.05)
            yield Page(port, process, http, f"sessionid={client.cookies['sessionid'].value}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await get_channel_layer().flush()
        channel_layers.backends.clear()


def _publish_as_it_is() -> None:
    """What is in the directory is all of it: web is ready only when it knows that."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        for table in (each.name for each in ALL):
            held = client.hgetall(keys.directory(table))
            entries = {field.decode(): value for field, value in held.items() if field}
            directory.reconcile(client, table, lambda entries=entries: entries)  # type: ignore[misc]


async def _answers(http: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with http.get(f"http://127.0.0.1:{port}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


@pytest.fixture
def fleet(valkey: redis.Redis, owner: cast.Person) -> Fleet:
    return Fleet(valkey, owner.tenant.id.hex)


async def _next(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of this kind."""
    async with asyncio.timeout(LONG):
        while True:
            message: dict[str, Any] = json.loads(await socket.receive_str())
            if message["type"] == kind:
                return message


async def _close_code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    async with asyncio.timeout(LONG):
        async for _ in socket:
            pass
    return socket.close_code


@pytest.mark.parametrize("server", SERVERS)
async def test_events_come_as_they_happen(server: str, tmp_path: Path, owner: cast.Person, fleet: Fleet) -> None:
    node = fleet.register("alpha")
    fleet.report(node)
    async with page(tmp_path, server, owner) as opened, connect_async(settings.REDIS_URL) as client:
        await publish(client)
        socket = await opened.open("nodes")
        first = await _next(socket, "snapshot")
        assert [each["name"] for each in first["data"]["nodes"]] == ["alpha"]
        for running in (2, 3, 4):
            fleet.report(node, running=running)
            await publish(client)
            told = time.monotonic()
            event = await _next(socket, "event")
            assert event["data"]["changed"] == {node: {"running": running}}
            assert time.monotonic() - told < 1.0 + BUSY
        await socket.close()
        await until(lambda: fleet.client.keys("omx:channels:group:*") == [])


async def test_a_program_with_a_key_is_told_too(tmp_path: Path, owner: cast.Person, fleet: Fleet) -> None:
    key = await database_sync_to_async(cast.make_key)(owner)
    async with page(tmp_path, "uvicorn", owner) as opened:
        socket = await opened.open("keys", key=key.text)
        assert (await _next(socket, "snapshot"))["data"]["entries"][0]["target_id"] == key.row.id.hex
        assert await _close_code(await opened.open(key="omx_wrong")) == consumers.UNAUTHENTICATED


@pytest.mark.parametrize("server", SERVERS)
async def test_many_look_at_once(server: str, tmp_path: Path, owner: cast.Person, fleet: Fleet) -> None:
    async with page(tmp_path, server, owner) as opened, connect_async(settings.REDIS_URL) as client:
        sockets = await asyncio.gather(*(opened.open("fleet") for _ in range(20)))
        assert len([await _next(socket, "snapshot") for socket in sockets]) == 20
        await publish(client)
        assert len([await _next(socket, "event") for socket in sockets]) == 20


@pytest.mark.parametrize("server", SERVERS)
async def test_nobody_in_particular_and_another_sites_page_are_refused(
    server: str, tmp_path: Path, owner: cast.Person, fleet: Fleet
) -> None:
    async with page(tmp_path, server, owner) as opened:
        assert await _close_code(await opened.open(cookie="")) == consumers.UNAUTHENTICATED
        assert await _refusal(opened) == 403
    assert fleet.client.keys("omx:channels:group:*") == []


async def _refusal(opened: Page) -> int:
    """The status that another site's page gets."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await opened.open(origin="https://evil.example")
    return refused.value.status


@pytest.mark.parametrize("server", SERVERS)
async def test_an_open_page_does_not_hold_up_the_end(
    server: str, tmp_path: Path, owner: cast.Person, fleet: Fleet
) -> None:
    async with page(tmp_path, server, owner) as opened:
        socket = await opened.open()
        await _next(socket, "welcome")
        begun = time.monotonic()
        opened.process.send_signal(signal.SIGTERM)
        await _close_code(socket)
        async with asyncio.timeout(GRACE_SECONDS + 10):
            await opened.process.wait()
        assert time.monotonic() - begun < GRACE_SECONDS / 2


async def test_a_page_that_does_not_read_is_dropped(tmp_path: Path, owner: cast.Person, fleet: Fleet) -> None:
    """So the server does not keep for it what it has not read."""
    nodes = [fleet.register(f"node-{number:04}", labels={"rack": "x" * 200}) for number in range(400)]
    async with page(tmp_path, "uvicorn", owner) as opened, connect_async(settings.REDIS_URL) as client:
        await publish(client)
        socket = await opened.open("nodes")
        await _next(socket, "snapshot")
        socket._response.connection.transport.pause_reading()  # type: ignore[union-attr]
        end = time.monotonic() + LONG
        while fleet.client.keys("omx:channels:group:*") and time.monotonic() < end:
            for node in nodes:
                fleet.client.hdel(keys.directory("nodes"), node)
            nodes = [fleet.register(f"node-{number:04}", labels={"rack": "x" * 200}) for number in range(400)]
            await publish(client)
        assert fleet.client.keys("omx:channels:group:*") == []

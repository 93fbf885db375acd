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

from dashboard import consumers, groups
from ollamamax.bus import directory, keys
from ollamamax.bus.connect import connect_async
from ollamamax.processes.server import GRACE_SECONDS
from tests import cast
from tests.dashboard.conftest import publish
from tests.dashboard.fleet import Fleet
from tests.gateway.conftest import until
from tests.patience import BUSY, LONG
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

    async def open(self, *, origin: str = "", cookie: str | None = None) -> aiohttp.ClientWebSocketResponse:
        address = f"http://127.0.0.1:{self.port}"
        headers = {"Origin": origin or address, "Cookie": self.cookie if cookie is None else cookie}
        return await self.http.ws_connect(f"{address}/ws/live/", headers=headers)


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
            async with asyncio.timeout(30):
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
        for table in ("keys", "node_keys", "tenants", "models", "aliases", "blobs", "nodes"):
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


async def _next(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.receive_str(timeout=LONG))
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
        socket = await opened.open()
        first = await _next(socket)
        assert (first["type"], [each["name"] for each in first["nodes"]]) == ("snapshot", ["alpha"])
        for _ in range(5):
            fleet.report(node)
            await publish(client)
            told = time.monotonic()
            frame = await _next(socket)
            assert frame["type"] == "frame"
            assert time.monotonic() - told < 1.0 + BUSY
        group = f"omx:channels:group:{groups.live(fleet.tenant)}"
        assert fleet.client.zcard(group) == 1
        await socket.close()
        await until(lambda: fleet.client.zcard(group) == 0)


@pytest.mark.parametrize("server", SERVERS)
async def test_many_look_at_once(server: str, tmp_path: Path, owner: cast.Person, fleet: Fleet) -> None:
    async with page(tmp_path, server, owner) as opened, connect_async(settings.REDIS_URL) as client:
        sockets = await asyncio.gather(*(opened.open() for _ in range(20)))
        assert [(await _next(socket))["type"] for socket in sockets] == ["snapshot"] * 20
        await publish(client)
        assert [(await _next(socket))["type"] for socket in sockets] == ["frame"] * 20


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
        await _next(socket)
        begun = time.monotonic()
        opened.process.send_signal(signal.SIGTERM)
        await _close_code(socket)
        async with asyncio.timeout(GRACE_SECONDS + 10):
            await opened.process.wait()
        assert time.monotonic() - begun < GRACE_SECONDS / 2


async def test_a_page_that_does_not_read_is_dropped(tmp_path: Path, owner: cast.Person, fleet: Fleet) -> None:
    """So the server does not keep for it what it has not read."""
    async with page(tmp_path, "uvicorn", owner) as opened:
        socket = await opened.open()
        first = await _next(socket)
        socket._response.connection.transport.pause_reading()  # type: ignore[union-attr]
        layer: Any = get_channel_layer()
        group = f"omx:channels:group:{groups.live(fleet.tenant)}"
        end = time.monotonic() + 30
        seq = first["seq"]
        while fleet.client.zcard(group) and time.monotonic() < end:
            seq += 1
            await layer.group_send(groups.live(fleet.tenant), {"type": "live.frame", "seq": seq, "text": "x" * 200_000})
            await asyncio.sleep(0.02)
        assert fleet.client.zcard(group) == 0

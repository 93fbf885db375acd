"""A gateway that is killed gives its slots back within seconds; one that is frozen, or loses Redis, loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from cluster.dispatch.gateway_lease import LEASE_MS
from cluster.dispatch.settle_dead_gateways import settle_lost
from ollamamax.bus import keys
from ollamamax.contract import Delta, Event, Final, Ticket
from ollamamax.embedded import valkey
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site, site
from tests.patience import BUSY, until
from tests.processes.test_gateway import ASK, _post, gateway
from tests.servers import free_port

__all__ = ["site"]


class Durable:
    """A Valkey that keeps what it held over its death."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(valkey.command(self._folder, self._port), stdout=subprocess.DEVNULL)
        valkey.wait_ready(self.url, self._process)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Durable]:
    """The Valkey of a `site` that is asked for after it."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    made = Durable(folder)
    monkeypatch.setenv("REDIS_URL", made.url)
    yield made
    made.kill()


@contextlib.asynccontextmanager
async def looked_after(client: redis.Redis) -> AsyncIterator[None]:
    """The controller's loop."""

    async def run() -> None:
        while True:
            with contextlib.suppress(redis.RedisError):
                await asyncio.to_thread(settle_lost, client)
            await asyncio.sleep(1)

    task = asyncio.create_task(run())
    yield
    task.cancel()


async def _slowly(ticket: Ticket) -> AsyncIterator[Event]:
    for number in range(120):
        yield Delta(text=f"{number} ", tokens=1)
        await asyncio.sleep(0.1)
    yield Final("stop", prompt_tokens=1, completion_tokens=120)


def slots(client: redis.Redis, node: FakeNode) -> int:
    return int(client.scard(keys.node_slots(node.node)))


async def _ended(answer: Any) -> None:
    """However it ends: whole, or with its gateway."""
    with contextlib.suppress(Exception):
        async with answer as response:
            await response.read()


async def _settled_in_calm(client: redis.Redis) -> None:
    """Nobody is judged in the first seconds of a Redis."""
    await until(lambda: client.info("server")["uptime_in_seconds"] >= 10, seconds=15)


async def test_a_killed_gateways_slots_are_back_within_five_seconds(site: Site, tmp_path: Path) -> None:
    await _settled_in_calm(site.client)
    node = await site.add_node(script=_slowly, capacity=2)
    port = free_port()
    async with gateway(site, tmp_path, "uvicorn", port) as process, looked_after(site.client):
        answers = [asyncio.create_task(_ended(_post(site, port, ASK))) for _ in range(3)]
        await until(lambda: slots(site.client, node) == 2 and site.client.zcard(keys.WAITING) == 1)
        process.kill()
        killed = time.monotonic()
        await until(lambda: slots(site.client, node) == 0 and not site.client.zcard(keys.WAITING))
        took = time.monotonic() - killed
        await asyncio.gather(*answers)
        await process.wait()
    assert took < 5.0 + BUSY
    # A place in the queue is admission: the one that only waited has its record, too, of no node and no token.
    records = site.usage()
    assert len({each["request"] for each in records}) == 3
    assert [each["outcome"] for each in records] == ["gateway_lost"] * 3
    assert sorted((each["node"], each["completion_tokens"] > 0) for each in records) == [
        ("", False),
        (node.node, True),
        (node.node, True),
    ]
    await until(lambda: site.client.smembers(keys.GATEWAYS) == {site.gateway._service.dispatcher.id.encode()})  # type: ignore[union-attr]


async def test_a_gateway_that_was_frozen_goes_on(site: Site, tmp_path: Path) -> None:
    await _settled_in_calm(site.client)
    node = await site.add_node(script=_slowly)
    port = free_port()
    async with (
        gateway(site, tmp_path, "uvicorn", port) as process,
        looked_after(site.client),
        _post(site, port, ASK) as response,
    ):
        await response.content.readany()
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(LEASE_MS / 1000 + 2)
        process.send_signal(signal.SIGCONT)
        text = await response.text()
    assert '"119 "' in text
    assert [control.verb for control in node.controls if control.verb == "cancel"] == []
    assert [each["outcome"] for each in site.usage()] == ["ok"]


async def test_a_gateway_whose_connections_are_cut_goes_on(site: Site, tmp_path: Path) -> None:
    await _settled_in_calm(site.client)
    await site.add_node(script=_slowly)
    port = free_port()
    async with gateway(site, tmp_path, "uvicorn", port), looked_after(site.client), _post(site, port, ASK) as response:
        await response.content.readany()
        for _ in range(4):
            # The node's control channel, too; its streams stay.
            site.client.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.5)
        text = await response.text()
    assert '"119 "' in text
    assert [each["outcome"] for each in site.usage()] == ["ok"]


async def test_a_restart_of_redis_kills_no_gateway(durable: Durable, site: Site, tmp_path: Path) -> None:
    """It takes longer than a lease stands. The fake node ends with its connections; its request is settled by the gateway."""
    node = await site.add_node(script=_slowly)
    port = free_port()
    async with gateway(site, tmp_path, "uvicorn", port), looked_after(site.client), _post(site, port, ASK) as response:
        await response.content.readany()
        (lived,) = {ticket.gateway for ticket in node.tickets}
        await asyncio.to_thread(durable.kill)
        await asyncio.sleep(LEASE_MS / 1000 + 1)
        await asyncio.to_thread(durable.start)
        await until(lambda: bool(site.client.exists(keys.gateway_alive(lived))))
        await until(lambda: len(site.usage()) > 0)
        assert lived.encode() in site.client.smembers(keys.GATEWAYS)
    assert [each["error"] for each in site.usage()] == ["node_lost"]

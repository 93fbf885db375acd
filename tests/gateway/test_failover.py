"""Redis with Sentinels, of real processes: its primary is killed under load, and every request is answered and recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import redis

from benchmarks.stores import Bus, wait
from cluster.engines.build import EngineChoice
from ollamamax.bus import directory, sentinels
from ollamamax.bus.connect import connect, connect_async
from ollamamax.bus.link import Broken, opened, pack
from ollamamax.bus.sentinels import NoPrimary
from tests.gateway.conftest import Site, publish_model, site_at
from tests.patience import until
from tests.worker.conftest import Stub
from tests.worker.node import Node, make_identity, make_user

ASKED = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}], "stream": False}
CLIENTS = 8
AFTER = 5
"""Answers that each client has to have of the new primary."""


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(tmp_path / "bus")
    yield made
    made.stop()


async def test_no_request_fails_and_no_record_is_lost_when_the_primary_is_killed_under_load(
    bus: Bus, tmp_path: Path
) -> None:
    first, second = bus.ports
    which = sentinels.of(bus.url)
    # A Sentinel that knows it late names the replica.
    which._known = (("127.0.0.1", second), time.monotonic() + 60)
    with pytest.raises(NoPrimary):
        await opened(bus.url)
    for make in (connect, connect_async):
        which._known = (("127.0.0.1", second), time.monotonic() + 60)
        client: Any = make(bus.url)
        told = client.info("server")
        assert (await told if asyncio.iscoroutine(told) else told)["tcp_port"] == first, "it asked again"
    # A real node: a fake one ends with its Redis.
    stub = Stub()
    home = tmp_path / "node"
    home.mkdir()
    node = Node(make_identity(bus.url, EngineChoice("openai", stub.url, slots=32)), home, bus.url, "--awake=0")
    try:
        async with site_at(bus.url) as site:
            site.key = await site.issue_key(node.identity.tenant)
            state = await asyncio.to_thread(node.wait_ready)
            publish_model(site.client, node.identity.tenant, version=state.models[0].version)
            entry = {"tenant": node.identity.tenant, "name": "node", "schedulable": True}
            directory.publish(site.client, "nodes", {node.id: msgspec.json.encode(entry)})
            service = await site.gateway.start()
            await until(lambda: service.dispatcher.fleet.alive(node.id))
            await _under_load(site, bus, node)
    finally:
        await asyncio.to_thread(node.end)
        stub.stop()


async def _under_load(site: Site, bus: Bus, node: Node) -> None:
    first, second = bus.ports
    replaced = asyncio.Event()
    under_load = asyncio.Event()
    asking = [asyncio.create_task(_ask(site, under_load, replaced)) for _ in range(CLIENTS)]
    await under_load.wait()
    await asyncio.to_thread(bus.kill, first)
    await asyncio.to_thread(wait, lambda: bus.info(second)["role"] == "master", "a new primary")
    # Users are not replicated: the controller makes them again.
    with bus.client(second) as successor:
        make_user(successor, node.id, urlsplit(node.identity.redis_url).password or "")
    replaced.set()
    answers = await asyncio.gather(*asking)
    assert {status for each in answers for status, _ in each} == {200}, answers
    wanted = {request for each in answers for _, request in each}
    assert len(wanted) > CLIENTS * AFTER

    def recorded() -> bool:
        return wanted <= {each["request"] for each in site.usage()}

    await asyncio.to_thread(wait, recorded, "a record of each answer")
    # It comes back as if it were the primary still, which the Sentinels have not told it yet.
    bus.start(first)
    await asyncio.to_thread(wait, lambda: bus.info(first)["role"] == "master", "the deposed primary")
    sentinels.of(bus.url).forget()
    assert connect(bus.url).info("server")["tcp_port"] == second
    assert (await _answered(site))[0] == 200


async def _ask(site: Site, under_load: asyncio.Event, replaced: asyncio.Event) -> list[tuple[int, str]]:
    found, after = [], 0
    while after < AFTER:
        found.append(await _answered(site))
        after += replaced.is_set()
        if len(found) == AFTER:
            under_load.set()
    return found


async def _answered(site: Site) -> tuple[int, str]:
    async with site.post("/v1/chat/completions", ASKED) as response:
        told = await response.json()
        assert response.status == 200, told
        assert told["choices"][0]["message"]["content"]
        return response.status, response.headers["x-request-id"]


async def test_a_server_that_became_a_replica_ends_its_connections(bus: Bus) -> None:
    link = await opened(bus.url)
    with bus.client(bus.ports[0]) as admin, connect(bus.url) as client:
        client.ping()
        admin.replicaof("127.0.0.1", bus.ports[1])
        with pytest.raises(Broken):
            await link.send(pack(("SET", "a", "b")), None)
        with pytest.raises(redis.ConnectionError):
            client.set("a", "b")

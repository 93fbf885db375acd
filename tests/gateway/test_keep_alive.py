"""How long a model stays in memory is for its node's own tenant to say: others' ``keep_alive`` is left out, and they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.dispatch import queue
from ollamamax.bus import directory
from ollamamax.contract import Delta, Event, Failure, Ticket
from ollamamax.contract.tables import TENANTS
from ollamamax.kernel.ids import new_id
from tests.fakes.node import FakeNode, Script, echo
from tests.gateway.conftest import Site
from tests.gateway.scripts import embeds, remembers
from tests.patience import until

HEADER = "x-ollamamax-keep-alive"
CHAT: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
ASKED: list[tuple[str, dict[str, Any], Script]] = [
    ("/api/chat", {**CHAT, "stream": False}, echo),
    ("/api/chat", CHAT, echo),
    ("/api/generate", {"model": "echo", "prompt": "one two", "stream": False}, echo),
    ("/api/generate", {"model": "echo", "prompt": "one two"}, echo),
    ("/api/embed", {"model": "echo", "input": ["one"]}, embeds),
    ("/api/embeddings", {"model": "echo", "prompt": "one"}, embeds),
]
VALUES = [(0, 0), (-1, -1), ("5m", 300)]


async def another_tenants(site: Site, *, script: Script = echo, capacity: int = 4) -> FakeNode:
    return await site.add_node(tenant=new_id(), shared=True, script=script, capacity=capacity)


async def ask(site: Site, path: str, body: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The header, and the answer or the last line of the stream."""
    async with site.post(path, body) as response:
        assert response.status == 200, await response.text()
        return response.headers.get(HEADER), json.loads((await response.text()).strip().split("\n")[-1])


@pytest.mark.parametrize(("path", "body", "script"), ASKED)
async def test_a_tenants_own_node_obeys(site: Site, path: str, body: dict[str, Any], script: Script) -> None:
    node = await site.add_node(script=script, shared=True)
    for keep_alive, seconds in VALUES:
        header, answer = await ask(site, path, {**body, "keep_alive": keep_alive})
        assert header is None
        assert "keep_alive" not in answer
        assert node.tickets[-1].inference.keep_alive == seconds


@pytest.mark.parametrize(("path", "body", "script"), ASKED)
async def test_another_tenants_node_does_not_and_says_so(
    site: Site, path: str, body: dict[str, Any], script: Script
) -> None:
    node = await another_tenants(site, script=script)
    for keep_alive, _ in VALUES:
        header, answer = await ask(site, path, {**body, "keep_alive": keep_alive})
        assert header == "ignored"
        assert answer.get("keep_alive") == ("ignored" if script is echo else None)
        assert node.tickets[-1].inference.keep_alive is None
    header, answer = await ask(site, path, body)
    assert (header, "keep_alive" in answer) == (None, False)


async def test_loading_alone_is_done_without_it(site: Site) -> None:
    node = await another_tenants(site, script=remembers)
    header, answer = await ask(site, "/api/generate", {"model": "echo", "keep_alive": "1h"})
    assert (header, answer["done_reason"]) == ("ignored", "load")
    assert node.tickets[0].inference.keep_alive is None


async def test_it_is_told_where_the_route_is_not(site: Site) -> None:
    await another_tenants(site)
    directory.publish(site.client, "tenants", {site.tenant: b'{"show_route": false}'})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(TENANTS, site.tenant) is not None)
    async with site.post("/api/chat", {**CHAT, "keep_alive": 0, "stream": False}) as response:
        assert "x-ollamamax-node" not in response.headers
        assert response.headers[HEADER] == "ignored"


def _breaks(gate: asyncio.Event, *said: Delta) -> Script:
    async def script(ticket: Ticket) -> AsyncIterator[Event]:
        await gate.wait()
        for delta in said:
            yield delta
        yield Failure("engine_failed", "The engine broke.", 502)

    return script


async def _first_breaks(
    site: Site, own_first: bool, stream: bool, *said: Delta
) -> tuple[str | None, dict[str, Any], list[float | None]]:
    """A node of the tenant's own and a shared one: the first, that ``said`` something, breaks, and the other answers.

    The header, the answer, and the ``keep_alive`` that each was left with.
    """
    owners = (None, new_id()) if own_first else (new_id(), None)
    gate = asyncio.Event()
    first = await site.add_node(tenant=owners[0], shared=True, script=_breaks(gate, *said))
    asking = asyncio.create_task(ask(site, "/api/chat", {**CHAT, "keep_alive": 0, "stream": stream}))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(tenant=owners[1], shared=True)
    gate.set()
    header, answer = await asking
    return header, answer, [node.tickets[0].inference.keep_alive for node in (first, second)]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("own_first", [True, False])
async def test_the_node_that_answers_decides_when_the_first_one_broke(
    site: Site, own_first: bool, stream: bool
) -> None:
    header, answer, heard = await _first_breaks(site, own_first, stream)
    assert heard == ([0, None] if own_first else [None, 0])
    assert header == ("ignored" if own_first else None)
    assert answer.get("keep_alive") == header


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("own_first", [True, False])
async def test_the_end_tells_of_the_node_that_went_on(site: Site, own_first: bool, stream: bool) -> None:
    header, answer, heard = await _first_breaks(site, own_first, stream, Delta(text="one", tokens=1))
    assert heard == ([0, None] if own_first else [None, 0])
    assert (answer["continued"], answer.get("keep_alive")) == (1, "ignored" if own_first else None)
    # The head of a stream was sent when its first node spoke.
    assert header == ("ignored" if own_first != stream else None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come at once."""
    monkeypatch.setattr(queue, "FIRST_WORD", 0.05)


async def _busy(site: Site, script: Script) -> asyncio.Task[Any]:
    """The tenant's own node, whose one slot is taken."""
    node = await site.add_node(script=script, capacity=1)
    asking = asyncio.create_task(ask(site, "/api/chat", CHAT))
    await until(lambda: len(node.tickets) == 1)
    return asking


def _waits_for(gate: asyncio.Event) -> Script:
    async def script(ticket: Ticket) -> AsyncIterator[Event]:
        await gate.wait()
        async for event in (echo if ticket.inference.messages else remembers)(ticket):
            yield event

    return script


@pytest.mark.usefixtures("impatient")
async def test_a_stream_that_waited_and_went_to_a_node_that_came_later_tells_it_at_its_end(site: Site) -> None:
    gate = asyncio.Event()
    first = await _busy(site, _waits_for(gate))
    async with site.post("/api/chat", {**CHAT, "keep_alive": -1}) as response:
        assert (HEADER in response.headers, response.status) == (False, 200)
        shared = await another_tenants(site)
        line = json.loads((await response.text()).strip().split("\n")[-1])
    assert (line["done"], line["keep_alive"]) == (True, "ignored")
    assert shared.tickets[0].inference.keep_alive is None
    gate.set()
    assert (await first)[0] is None


async def test_unloading_comes_back_to_the_own_node_from_a_shared_one_that_came_meanwhile(site: Site) -> None:
    gate = asyncio.Event()
    first = await _busy(site, _waits_for(gate))
    unloading = asyncio.create_task(ask(site, "/api/generate", {"model": "echo", "keep_alive": 0}))
    service = await site.gateway.start()
    await until(lambda: len(service.dispatcher._queue) == 1)
    shared = await another_tenants(site, script=remembers)
    await until(lambda: len(shared.tickets) == 1)
    gate.set()
    header, answer = await unloading
    assert (header, answer["done_reason"]) == (None, "unload")
    assert [ticket.inference.keep_alive for ticket in site.nodes[0].tickets] == [None, 0]
    await first

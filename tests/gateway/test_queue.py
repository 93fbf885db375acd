"""Waiting for a slot: in turn, with signs of life, within limits, until the time is over or the client leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anthropic
import msgspec
import ollama
import openai
import pytest

from cluster.dispatch import queue
from cluster.wire import Delta, Event, Final, Ticket
from ollamamax.bus import directory, keys
from ollamamax.kernel.ids import new_id
from tests.fakes.node import FakeNode, echo
from tests.gateway.conftest import Site, until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}


class Gate:
    """A script that answers when it is opened, one request at each `let`."""

    def __init__(self) -> None:
        self.places = asyncio.Semaphore(0)
        self.said: list[str] = []

    async def __call__(self, ticket: Ticket) -> AsyncIterator[Event]:
        self.said.append(ticket.inference.messages[-1]["content"])
        await self.places.acquire()
        async for event in echo(ticket):
            yield event

    def let(self, count: int = 1) -> None:
        for _ in range(count):
            self.places.release()


async def full(site: Site) -> tuple[Gate, FakeNode]:
    """A node with one slot, which is taken."""
    gate = Gate()
    node = await site.add_node(script=gate, capacity=1)
    await ask(site, "first", wait=False)
    await until(lambda: gate.said == ["first"])
    return gate, node


_asked: set[asyncio.Task[Any]] = set()


async def ask(site: Site, content: str, *, wait: bool = True, key: str | None = None, **headers: Any) -> Any:
    body = {"model": "echo", "messages": [{"role": "user", "content": content}]}

    async def post() -> tuple[int, Any, Any]:
        async with site.post("/v1/chat/completions", body, key, headers=headers) as response:
            return response.status, await response.json(), response.headers

    task = asyncio.create_task(post())
    _asked.add(task)
    task.add_done_callback(_asked.discard)
    return await task if wait else task


async def queued(site: Site, count: int) -> None:
    await until(lambda: site.client.zcard(keys.WAITING) == count)


async def test_who_waits_is_served_when_a_slot_is_free(site: Site) -> None:
    gate, node = await full(site)
    second = await ask(site, "second", wait=False)
    await queued(site, 1)
    gate.let(2)
    status, answer, headers = await second
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "second")
    assert headers["x-ollamamax-node"] == "node-0"
    await until(lambda: len(site.usage()) == 2)
    record = site.usage()[-1]
    assert record["queue_ms"] > 1
    assert record["route"]["waiting"] == 1
    assert [len(record["route"]["candidates"]), record["route"]["attempts"][0]["node"]] == [1, node.node]
    assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_two_tenants_take_turns_however_many_one_asks_for(site: Site, stranger: str) -> None:
    """The node is shared; the stranger's single request is served before the flood that came earlier."""
    gate, node = await full(site)
    share(site, node)
    theirs = site.issue_key(other := new_id())
    site.publish_for(other)
    for number in range(2):
        await ask(site, f"flood {number}", wait=False)
        await queued(site, number + 1)
    single = await ask(site, "single", wait=False, key=theirs)
    await queued(site, 3)
    gate.let()
    await until(lambda: len(gate.said) == 2)
    assert gate.said[1] == "single"
    gate.let(3)
    assert (await single)[0] == 200
    await until(lambda: len(site.usage()) == 4)


def share(site: Site, node: FakeNode) -> None:
    entry = {"tenant": site.tenant, "name": "node-0", "schedulable": True, "shared": True}
    directory.publish(site.client, "nodes", {node.node: msgspec.json.encode(entry)})


async def test_a_class_goes_before_others_of_the_same_tenant(site: Site) -> None:
    gate, _ = await full(site)
    urgent = site.issue_key(site.tenant, priority="high")
    await ask(site, "normal", wait=False)
    await queued(site, 1)
    await ask(site, "high", wait=False, key=urgent, **{"x-ollamamax-priority": "high"})
    await queued(site, 2)
    gate.let(3)
    await until(lambda: len(gate.said) == 3)
    assert gate.said == ["first", "high", "normal"]


async def test_a_low_class_has_aged_when_half_of_its_time_is_over(site: Site) -> None:
    service = await site.gateway.start()
    site.gateway._service = dataclasses.replace(service, deadline=6.0)
    gate, _ = await full(site)
    urgent = site.issue_key(site.tenant, priority="high")

    async def add(content: str, priority: str, waiting: int) -> None:
        await ask(site, content, wait=False, key=urgent, **{"x-ollamamax-priority": priority})
        await queued(site, waiting)

    await add("low", "low", 1)
    await add("high", "high", 2)
    gate.let()
    await until(lambda: gate.said == ["first", "high"])
    await asyncio.sleep(3)
    await add("late", "high", 2)
    gate.let(2)
    await until(lambda: len(gate.said) == 4)
    gate.let()
    assert gate.said == ["first", "high", "low", "late"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-ollamamax-priority": "high"}, 403),
        ({"x-ollamamax-priority": "urgent"}, 400),
        ({"x-ollamamax-timeout": "soon"}, 400),
        ({"x-ollamamax-timeout": "-1"}, 400),
        ({"x-ollamamax-timeout": "nan"}, 400),
    ],
)
async def test_wishes_that_are_not_granted(site: Site, headers: dict[str, Any], status: int) -> None:
    await site.add_node()
    assert (await ask(site, "x", **headers))[0] == status


async def test_the_time_of_a_request_includes_its_wait(site: Site) -> None:
    gate, node = await full(site)
    start = time.monotonic()
    status, answer, _ = await ask(site, "late", **dict[str, Any]({"x-ollamamax-timeout": "0.5"}))
    assert (status, answer["error"]["code"]) == (504, "deadline_exceeded")
    assert time.monotonic() - start < 5
    await queued(site, 0)
    gate.let()
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    assert gate.said == ["first"]


async def test_who_leaves_the_queue_leaves_nothing_behind(site: Site) -> None:
    gate, node = await full(site)
    leaving = await ask(site, "leaving", wait=False)
    await queued(site, 1)
    leaving.cancel()
    await queued(site, 0)
    gate.let()
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    assert not site.client.keys("omx:queue:entry:*")
    assert not site.client.keys("omx:queue:node:*")
    assert not site.client.keys("omx:active:*")
    assert [record["outcome"] for record in site.usage()] == ["ok"]


async def test_a_node_that_joins_serves_those_who_wait(site: Site) -> None:
    await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    await site.add_node(script=echo)
    assert (await waiting)[0] == 200


async def test_a_node_that_is_drained_gets_none_of_those_who_wait(site: Site) -> None:
    gate, node = await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    entry = {"tenant": site.tenant, "name": "node-0", "schedulable": False}
    directory.publish(site.client, "nodes", {node.node: msgspec.json.encode(entry)})
    gate.let(2)
    await until(lambda: len(site.usage()) == 1)
    assert gate.said == ["first"]
    await site.add_node(script=echo)
    assert (await waiting)[0] == 200


async def test_a_queue_that_redis_forgot_is_joined_again(site: Site) -> None:
    gate, _ = await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    for name in site.client.keys("omx:queue:*"):
        site.client.delete(name)
    await queued(site, 1)
    gate.let(2)
    assert (await waiting)[0] == 200


async def test_a_grant_whose_message_was_lost_is_found(site: Site) -> None:
    gate, _ = await full(site)
    waiting = await ask(site, "waiting", wait=False)
    await queued(site, 1)
    service = await site.gateway.start()
    granted = service.dispatcher._queue.granted
    service.dispatcher._queue.granted = lambda ticket, node: False  # type: ignore[method-assign]
    gate.let(2)
    await queued(site, 0)
    service.dispatcher._queue.granted = granted  # type: ignore[method-assign]
    assert (await waiting)[0] == 200


async def test_limits_of_a_key_are_429_with_the_time_to_wait(site: Site) -> None:
    await site.add_node()
    few = site.issue_key(site.tenant, limits={"requests_per_minute": 2})
    assert [(await ask(site, "x", key=few))[0] for _ in range(3)] == [200, 200, 429]
    _, answer, headers = await ask(site, "x", key=few)
    assert answer["error"]["code"] == "rate_limit_exceeded"
    assert "2 requests a minute" in answer["error"]["message"]
    assert 20 <= int(headers["retry-after"]) <= 30
    assert (await ask(site, "x"))[0] == 200


async def test_tokens_are_taken_as_expected_and_corrected_to_what_was_used(site: Site) -> None:
    gate = Gate()
    await site.add_node(script=gate)
    limited = site.issue_key(site.tenant, limits={"tokens_per_minute": 200})

    async def large() -> int:
        async with site.post("/v1/chat/completions", {**ASK, "max_tokens": 900}, limited) as response:
            await response.read()
            return int(response.status)

    first = asyncio.create_task(large())
    await until(lambda: len(gate.said) == 1)
    # While it runs nobody knows how few tokens it will be.
    assert await large() == 429
    gate.let(2)
    assert await first == 200
    await until(lambda: not site.client.hlen(keys.OPEN))
    assert await large() == 200


async def test_how_many_at_once_counts_those_who_wait(site: Site) -> None:
    gate, _ = await full(site)
    limited = site.issue_key(site.tenant, limits={"concurrent": 1})
    await ask(site, "waits", wait=False, key=limited)
    await queued(site, 1)
    status, answer, _ = await ask(site, "x", key=limited)
    assert (status, answer["error"]["code"]) == (429, "rate_limit_exceeded")
    gate.let(2)
    await until(lambda: not site.client.exists(keys.active(limited)))


async def test_several_answers_need_no_more_than_one_slot(site: Site) -> None:
    node = await site.add_node(capacity=1)
    async with site.post("/v1/chat/completions", {**ASK, "n": 3}) as response:
        assert len((await response.json())["choices"]) == 3
    assert len(node.tickets) == 3


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come at once."""
    monkeypatch.setattr(queue, "FIRST_WORD", 0.1)
    monkeypatch.setattr(queue, "EACH", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_streams_that_wait_hear_their_place(site: Site) -> None:
    gate, _ = await full(site)
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}) as response:
        assert response.status == 200
        first = await response.content.readline()
        assert first.startswith(b": waiting, place 1 of 1")
        gate.let(3)
        text = (await response.text()).split("\n\n")
    assert text[-2] == "data: [DONE]"
    assert "x-ollamamax-node" not in response.headers
    async with site.post("/api/chat", ASK) as response:
        pass


@pytest.mark.usefixtures("impatient")
async def test_official_clients_read_over_the_signs_of_life(site: Site) -> None:
    gate, _ = await full(site)

    async def with_openai() -> str:
        client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)
        stream = await client.chat.completions.create(**ASK, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def with_ollama() -> str:
        client = ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {site.key}"})
        return "".join([part.message.content or "" async for part in await client.chat(**ASK, stream=True)])

    asked = [asyncio.create_task(with_openai()), asyncio.create_task(with_ollama())]
    await queued(site, 2)
    await asyncio.sleep(0.5)
    gate.let(3)
    assert await asyncio.gather(*asked) == ["one two three"] * 2

    await ask(site, "again", wait=False)
    await until(lambda: gate.said[-1] == "again")

    async def with_anthropic() -> str:
        client = anthropic.AsyncAnthropic(base_url=site.url, api_key=site.key, max_retries=0)
        async with client.messages.stream(model="echo", messages=ASK["messages"], max_tokens=9) as stream:
            return "".join([text async for text in stream.text_stream])

    asking = asyncio.create_task(with_anthropic())
    await queued(site, 1)
    await asyncio.sleep(0.3)
    gate.let(2)
    assert await asking == "one two three"


@pytest.mark.usefixtures("impatient")
async def test_a_failure_after_a_sign_of_life_is_told_in_the_stream(site: Site) -> None:
    await full(site)
    headers = {"x-ollamamax-timeout": "0.6"}
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}, headers=headers) as response:
        events = (await response.text()).strip().split("\n\n")
    assert events[0].startswith(": waiting")
    assert json.loads(events[-1][6:])["error"]["code"] == "deadline_exceeded"
    async with site.post("/api/chat", ASK, headers=headers) as response:
        text = await response.text()
    assert text.startswith(" ")
    assert "waited" in json.loads(text)["error"]


async def test_a_tenant_may_have_its_route_unsaid(site: Site) -> None:
    await site.add_node()
    assert {"x-ollamamax-node", "x-ollamamax-route"} <= {name.lower() for name in (await ask(site, "x"))[2]}
    directory.publish(site.client, "tenants", {site.tenant: b'{"show_route": false}'})
    service = await site.gateway.start()
    await until(lambda: service.directory.get("tenants", site.tenant) is not None)
    _, _, headers = await ask(site, "x")
    assert "x-request-id" in headers
    assert not {"x-ollamamax-node", "x-ollamamax-route", "x-ollamamax-version"} & {name.lower() for name in headers}


async def test_many_come_and_go_and_nothing_is_left(site: Site) -> None:
    """More clients than slots and places, some of which leave in the middle of whatever."""

    async def slow(ticket: Ticket) -> AsyncIterator[Event]:
        for _ in range(3):
            yield Delta(text="x", tokens=1)
            await asyncio.sleep(0.005)
        yield Final("stop", 1, 3)

    nodes = [await site.add_node(script=slow, capacity=2) for _ in range(2)]

    async def client(number: int) -> int:
        try:
            async with asyncio.timeout(0.01 * (number % 7) + (0 if number % 3 else 30)):
                return int((await ask(site, "x"))[0])
        except (TimeoutError, aiohttp.ClientError):
            return 0

    statuses = await asyncio.gather(*(client(number) for number in range(120)))
    assert set(statuses) <= {0, 200, 429}
    assert statuses.count(200) >= 4
    await until(lambda: not site.client.hlen(keys.OPEN) and not site.client.zcard(keys.WAITING))
    await until(lambda: not any(site.client.scard(keys.node_slots(node.node)) for node in nodes))
    await until(lambda: not site.client.keys("omx:active:*"))
    assert not site.client.keys("omx:queue:entry:*")

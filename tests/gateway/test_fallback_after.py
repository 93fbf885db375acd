"""A fallback that stands in when no slot came in time: at once or not at all, and nobody loses a turn by it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cluster.dispatch import queue
from cluster.dispatch.admission import Given, Waits
from ollamamax.bus import keys
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors
from ollamamax.kernel.ids import new_id
from tests.fakes.node import FakeNode, echo
from tests.gateway.conftest import Site, until
from tests.gateway.test_fallbacks import HEADER, _breaks, add_model, add_node, said, version
from tests.gateway.test_queue import Gate, queued

PATHS = {
    "/api/chat": {},
    "/v1/chat/completions": {},
    "/v1/messages": {"max_tokens": 9},
}
SOON = 0.2
NEVER = 60.0

_asked: set[asyncio.Task[Any]] = set()


class Answer:
    """What a client has of its request; ``took`` is in seconds."""

    def __init__(self, status: int, headers: Any, text: str, took: float) -> None:
        self.status = status
        self.hops = headers.get(HEADER)
        self.request = headers["x-request-id"]
        self.text = said(text) if status == 200 else text
        self.took = took


def ask(
    site: Site, content: str, path: str = "/api/chat", *, key: str | None = None, headers: Any = None, **more: Any
) -> asyncio.Task[Answer]:
    body = {
        "model": "first",
        "messages": [{"role": "user", "content": content}],
        "stream": False,
        **PATHS.get(path, {}),
        **more,
    }
    sent = {"Authorization": f"Bearer {key or site.key}", **(headers or {})}

    async def post() -> Answer:
        start = time.monotonic()
        async with site.http.post(site.url + path, json=body, headers=sent) as response:
            text = await response.text()
            return Answer(response.status, response.headers, text, time.monotonic() - start)

    task = asyncio.create_task(post())
    _asked.add(task)
    task.add_done_callback(_asked.discard)
    return task


async def full(site: Site, name: str) -> tuple[Gate, FakeNode]:
    """A node with one slot for that model, which is taken."""
    gate = Gate()
    node: FakeNode = await add_node(site, name, gate, capacity=1)
    ask(site, f"holds {name}", model=name)
    await until(lambda: len(gate.said) == 1)
    return gate, node


async def busy(site: Site, *fallbacks: tuple[str, str | float] | str) -> tuple[Gate, FakeNode]:
    """The first model has no free slot."""
    await add_model(site, "first", *fallbacks)
    return await full(site, "first")


async def nothing_left(site: Site) -> None:
    """No slot, place, open record or count of whatever waited and ran."""
    left = ("omx:node:*:slots", "omx:node:*:inbox", "omx:queue:entry:*", "omx:queue:node:*", "omx:queue:tenant:*")
    await until(lambda: not any(site.client.keys(each) for each in (*left, "omx:active:*")))
    assert site.client.hlen(keys.OPEN) == 0
    assert site.client.zcard(keys.WAITING) == 0
    dispatcher = (await site.gateway.start()).dispatcher
    assert len(dispatcher._queue) == 0
    assert not dispatcher._queue._expected
    assert not dispatcher._streams._streams
    assert not dispatcher._queue._of_version


def records(site: Site) -> dict[str, dict[str, Any]]:
    return {record["request"]: record for record in site.usage()}


async def limited(site: Site, **limits: int) -> tuple[str, str]:
    """A key, and its id."""
    key = site.issue_key(site.tenant, id=(owner := new_id()), limits=limits)
    service = await site.gateway.start()
    await until(lambda: len(service.directory.items("keys")) == 2)
    return key, owner


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
async def test_it_stands_in_when_no_slot_came_in_time(site: Site, path: str, stream: bool) -> None:
    gate, _ = await busy(site, ("second", SOON))
    await add_model(site, "second")
    small = await add_node(site, "second")
    key, owner = await limited(site, concurrent=1)
    answer = await ask(site, "one two", path, key=key, stream=stream)
    assert (answer.status, answer.hops, answer.text) == (200, "first;no_capacity", "one two")
    assert answer.took >= SOON
    assert len(small.tickets) == 1
    await until(lambda: len(site.usage()) == 2)
    served = records(site).pop(answer.request)
    (left,) = [record for record in site.usage() if record["request"] != answer.request]
    assert (served["model"], served["outcome"]) == ("second:latest", "ok")
    assert (left["model"], left["outcome"], left["error"]) == ("first", "cancelled", "no_capacity")
    assert (left["node"], left["prompt_tokens"], left["completion_tokens"]) == ("", 0, 0)
    assert left.get("queue_ms") is None
    assert SOON * 1000 <= left["duration_ms"] <= answer.took * 1000
    assert left["route"]["waiting"] == 1
    assert "attempts" not in left["route"]
    assert left["trace"] == served["trace"]
    assert not site.client.exists(keys.active(owner))
    gate.let()
    await nothing_left(site)
    assert gate.said == ["holds first"]


async def test_after_no_time_it_stands_in_at_once(site: Site) -> None:
    gate, _ = await busy(site, ("second", 0.0))
    await add_model(site, "second")
    await add_node(site, "second")
    assert (await ask(site, "one")).hops == "first;no_capacity"
    gate.let(2)
    await nothing_left(site)
    assert (await ask(site, "two")).hops is None


async def test_it_is_not_asked_when_a_slot_came_in_time(site: Site) -> None:
    gate, _ = await busy(site, ("second", NEVER))
    await add_model(site, "second")
    small = await add_node(site, "second")
    waiting = ask(site, "one two")
    await queued(site, 1)
    gate.let(2)
    answer = await waiting
    assert (answer.status, answer.hops, answer.text) == (200, None, "one two")
    assert small.tickets == []
    await nothing_left(site)
    assert [record["outcome"] for record in site.usage()] == ["ok", "ok"]


async def test_without_a_time_nobody_is_asked_as_long_as_there_is_a_place(site: Site) -> None:
    gate, _ = await busy(site, ("third", "no_capacity"), ("second", SOON))
    await add_model(site, "second")
    await add_model(site, "third")
    third = await add_node(site, "third")
    await add_node(site, "second")
    assert (await ask(site, "one")).hops == "first;no_capacity"
    assert third.tickets == []
    gate.let()
    await nothing_left(site)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
async def test_who_finds_no_slot_there_either_keeps_the_place(
    site: Site, path: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, _ = await busy(site, ("second", SOON))
    await add_model(site, "second")
    other, small = await full(site, "second")
    tried = await refusals(site, monkeypatch)
    one = ask(site, "one", path, stream=stream)
    await queued(site, 1)
    place = site.client.zrange(keys.WAITING, 0, -1, withscores=True)
    two = ask(site, "two", path, stream=stream)
    await until(lambda: len(tried) == 2)
    assert site.client.zrange(keys.WAITING, 0, 0, withscores=True) == place
    gate.let(3)
    answers = await asyncio.gather(one, two)
    assert [(each.status, each.hops, each.text) for each in answers] == [(200, None, "one"), (200, None, "two")]
    assert gate.said == ["holds first", "one", "two"]
    assert len(small.tickets) == 1
    other.let()
    await nothing_left(site)
    told = records(site)
    assert len(told) == 4
    assert [(told[each.request]["outcome"], told[each.request].get("attempts", 1)) for each in answers] == [
        ("ok", 1)
    ] * 2
    assert all(told[each.request]["queue_ms"] >= SOON * 1000 for each in answers)


async def refusals(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models that had no slot for a request that waits for another."""
    admission = (await site.gateway.start()).dispatcher._admission
    admit, refused = admission.admit, []

    async def told(request: Any, nodes: Any, *, taken: bool = False) -> Given | Waits:
        try:
            return await admit(request, nodes, taken=taken)
        except errors.Overloaded:
            refused.append(request.model)
            raise

    monkeypatch.setattr(admission, "admit", told)
    return refused


async def test_nothing_is_said_to_the_client_while_another_model_may_still_be_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_WORD", 0.01)
    monkeypatch.setattr(queue, "EACH", 0.01)
    gate, _ = await busy(site, ("second", 0.1), ("second", 0.5))
    await add_model(site, "second")
    other, _ = await full(site, "second")
    body = {"model": "first", "messages": [{"role": "user", "content": "one"}], "stream": True}
    start = time.monotonic()
    async with site.post("/v1/chat/completions", body) as response:
        # The response begins with the first sign of life.
        assert time.monotonic() - start >= 0.5
        assert await response.content.readuntil(b"\n") == b": waiting, place 1 of 1\n"
        gate.let(2)
        assert said(await response.text()) == "one"
    other.let()
    await nothing_left(site)


async def test_two_entries_have_each_their_own_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, _ = await busy(site, ("second", 0.1), ("third", 0.5))
    await add_model(site, "second")
    await add_model(site, "third")
    other, _ = await full(site, "second")
    third = await add_node(site, "third")
    tried = await refusals(site, monkeypatch)
    answer = await ask(site, "one two")
    assert (answer.status, answer.hops, answer.text) == (200, "first;no_capacity", "one two")
    assert answer.took >= 0.5
    assert len(third.tickets) == 1
    # Its time is over, too, when that of the next has come.
    assert tried == ["second:latest", "second:latest"]
    waiting = ask(site, "three")
    await until(lambda: len(tried) == 3)
    other.let(2)
    answer = await waiting
    assert (answer.hops, answer.text, len(third.tickets)) == ("first;no_capacity", "three", 1)
    gate.let()
    await nothing_left(site)


async def test_nobody_who_waits_there_is_overtaken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, _ = await busy(site, ("second", SOON))
    await add_model(site, "second")
    other, _ = await full(site, "second")
    tried = await refusals(site, monkeypatch)
    waits = ask(site, "waits for it", model="second")
    await queued(site, 1)
    one = ask(site, "one")
    await until(lambda: tried == ["second:latest"])
    other.let(2)
    assert (await waits).text == "waits for it"
    gate.let(2)
    assert (await one).hops is None
    await nothing_left(site)
    assert other.said == ["holds second", "waits for it"]


async def test_a_full_queue_is_left_at_once_as_ever(site: Site) -> None:
    gate, _ = await busy(site, ("second", NEVER))
    await add_model(site, "second")
    await add_node(site, "second")
    waiting = [ask(site, "one"), ask(site, "two")]
    await queued(site, 2)
    answer = await ask(site, "three")
    assert (answer.status, answer.hops) == (200, "first;no_capacity")
    gate.let(3)
    assert [each.hops for each in await asyncio.gather(*waiting)] == [None, None]
    await nothing_left(site)


async def test_one_that_fails_hands_it_back_to_the_queue(site: Site) -> None:
    gate, _ = await busy(site, ("second", SOON))
    await add_model(site, "second")
    await add_node(site, "second", _breaks)
    one = ask(site, "one two")
    await until(lambda: any(record["outcome"] == "failed" for record in site.usage()))
    await queued(site, 1)
    gate.let(2)
    answer = await one
    assert (answer.status, answer.hops, answer.text) == (200, None, "one two")
    await nothing_left(site)
    told = [(record["model"], record["outcome"], record.get("error", "")) for record in site.usage()]
    assert sorted(told) == [
        ("first", "cancelled", "no_capacity"),
        ("first", "ok", ""),
        ("first", "ok", ""),
        ("second:latest", "failed", "engine_failed"),
    ]
    assert records(site)[answer.request]["model"] == "first"


@pytest.mark.parametrize("phase", ["before", "after", "with another"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_meanwhile_leaves_nothing_behind(
    site: Site, phase: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, _ = await busy(site, ("second", NEVER if phase == "before" else SOON))
    await add_model(site, "second")
    other = Gate()
    if phase == "after":
        other, _ = await full(site, "second")
    else:
        await add_node(site, "second", other, capacity=1)
    tried = await refusals(site, monkeypatch)
    leaving = ask(site, "leaves", stream=stream)
    if phase == "with another":
        await until(lambda: other.said == ["leaves"])
    else:
        await queued(site, 1)
        await until(lambda: phase == "before" or tried == ["second:latest"])
    leaving.cancel()
    await queued(site, 0)
    gate.let()
    if phase == "after":
        other.let()
    await nothing_left(site)
    assert gate.said == ["holds first"]
    outcomes = {(record["model"], record["outcome"], record.get("error", "")) for record in site.usage()}
    assert outcomes - {("first", "ok", ""), ("second", "ok", "")} == (
        {("first", "cancelled", "no_capacity"), ("second:latest", "cancelled", "client_gone")}
        if phase == "with another"
        else set()
    )


@pytest.mark.parametrize("after", [0.1, NEVER])
async def test_the_time_of_a_request_goes_on_whatever_is_tried(site: Site, after: float) -> None:
    gate, _ = await busy(site, ("second", after))
    await add_model(site, "second")
    other, _ = await full(site, "second")
    answer = await ask(site, "late", "/v1/chat/completions", headers={"x-ollamamax-timeout": "0.5"})
    assert answer.status == 504
    assert "deadline_exceeded" in answer.text
    assert 0.5 <= answer.took < 5
    gate.let()
    other.let()
    await nothing_left(site)
    assert (gate.said, other.said) == (["holds first"], ["holds second"])


async def test_limits_are_taken_once(site: Site) -> None:
    gate, _ = await busy(site, ("second", SOON))
    await add_model(site, "second")
    await add_node(site, "second")
    # Its answers are expected to be of another length than those of the first.
    await ask(site, "word " * 40, model="second")
    await until(lambda: len(site.usage()) == 1)
    key, owner = await limited(site, requests_per_minute=1, tokens_per_minute=60)
    start = time.time()
    assert (await ask(site, "one two", key=key)).hops == "first;no_capacity"
    assert (await ask(site, "one two", key=key)).status == 429
    await until(lambda: len(site.usage()) == 3)
    # A token a second: 7 of the prompt and 2 of the answer.
    assert float(site.client.get(keys.rate("tokens", owner)) or 0) - start == pytest.approx(9, abs=2)
    gate.let()
    await nothing_left(site)


async def test_several_answers_are_waited_for_together(site: Site) -> None:
    gate, _ = await busy(site, ("second", 0.0))
    await add_model(site, "second")
    small = await add_node(site, "second")
    several = ask(site, "one two", "/v1/chat/completions", n=2)
    await queued(site, 2)
    gate.let(3)
    answer = await several
    assert (answer.status, answer.hops, small.tickets) == (200, None, [])
    await nothing_left(site)


async def crossing(site: Site, monkeypatch: pytest.MonkeyPatch, gate: Gate, node: FakeNode) -> Service:
    """The first model gives its slot while the other answers whether it has one."""
    service = await site.gateway.start()
    admit = service.dispatcher._admission.admit

    async def slow(request: Any, nodes: Any, *, taken: bool = False) -> Given | Waits:
        try:
            return await admit(request, nodes, taken=taken)
        finally:
            if request.at_once:
                gate.let()
                await until(lambda: len(node.tickets) == 2)
                await until(lambda: not service.dispatcher._queue._waiting or gate.said[1:] == ["one"])

    monkeypatch.setattr(service.dispatcher._admission, "admit", slow)
    return service


async def test_a_slot_that_comes_at_the_same_moment_is_given_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, node = await busy(site, ("second", SOON))
    await add_model(site, "second")
    await add_node(site, "second")
    await crossing(site, monkeypatch, gate, node)
    answer = await ask(site, "one")
    assert (answer.status, answer.hops, answer.text) == (200, "first;no_capacity", "one")
    await until(lambda: site.client.scard(keys.node_slots(node.node)) == 0)
    # What its node began is told to stop.
    gate.let()
    await until(lambda: not node._running)
    await nothing_left(site)
    told = sorted((record["model"], record["outcome"]) for record in site.usage())
    assert told == [("first", "cancelled"), ("first", "ok"), ("second:latest", "ok")]
    gate.let()
    assert (await ask(site, "two")).hops is None


async def test_a_slot_that_comes_while_the_other_refuses_is_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, node = await busy(site, ("second", SOON), ("third", SOON))
    await add_model(site, "second")
    await add_model(site, "third")
    other, _ = await full(site, "second")
    third = await add_node(site, "third")
    await crossing(site, monkeypatch, gate, node)
    one = ask(site, "one")
    await until(lambda: gate.said == ["holds first", "one"])
    gate.let()
    answer = await one
    assert (answer.status, answer.hops, answer.text, third.tickets) == (200, None, "one", [])
    other.let()
    await nothing_left(site)
    assert len(site.usage()) == 3


async def test_a_place_that_redis_forgot_meanwhile_is_joined_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, _ = await busy(site, ("second", SOON))
    await add_model(site, "second")
    other, _ = await full(site, "second")
    tried = await refusals(site, monkeypatch)
    one = ask(site, "one")
    await until(lambda: len(tried) == 1)
    for name in site.client.keys("omx:queue:*"):
        site.client.delete(name)
    await queued(site, 1)
    gate.let(2)
    other.let()
    assert (await one).text == "one"
    await nothing_left(site)


async def test_the_fallbacks_of_one_that_stands_in_are_not_followed(site: Site) -> None:
    gate, _ = await busy(site, "second")
    await add_model(site, "second", ("third", 0.0))
    await add_model(site, "third")
    other, _ = await full(site, "second")
    third = await add_node(site, "third", echo)
    for content in ("one", "two"):
        ask(site, content)
    await queued(site, 2)
    # The tenant has no place left: not even for the one that stands in.
    assert (await ask(site, "three")).status == 429
    assert third.tickets == []
    gate.let(3)
    other.let()
    await nothing_left(site)
    assert version("third") not in {record["version"] for record in site.usage()}

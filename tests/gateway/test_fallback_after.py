"""A fallback that stands in when no slot came in time: at once or not at all."""

from __future__ import annotations

import asyncio
import json

import pytest

from cluster.dispatch import queue
from ollamamax.bus import keys
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.gateway.standing_in import NEVER, PATHS, SOON, ask, busy, full, limited, nothing_left, records, refusals
from tests.gateway.test_fallbacks import add_model, add_node, version
from tests.gateway.waiting import queued
from tests.patience import until


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


async def test_a_client_that_heard_signs_of_life_may_still_be_answered_by_another_model(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_WORD", 0.01)
    monkeypatch.setattr(queue, "EACH", 0.01)
    gate, _ = await busy(site, ("second", 0.3))
    await add_model(site, "second")
    small = await add_node(site, "second")
    body = {"model": "first", "messages": [{"role": "user", "content": "one"}], "stream": True}
    async with site.post("/v1/chat/completions", body) as response:
        assert await response.content.readuntil(b"\n") == b": waiting, place 1 of 1\n"
        text = await response.text()
    # The head was out: what tells of the other model is its answer.
    assert "x-ollamamax-fallback" not in response.headers
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    assert {chunk["model"] for chunk in chunks} == {"second:latest"}
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "one"
    assert len(small.tickets) == 1
    gate.let()
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

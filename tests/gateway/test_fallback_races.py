"""What happens at once with a fallback that stands in when no slot came in time: nobody loses a turn by it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cluster.dispatch.admission import Given, Waits
from ollamamax.bus import keys
from ollamamax.gateway.service import Service
from tests.fakes.node import FakeNode
from tests.gateway.conftest import Site
from tests.gateway.standing_in import NEVER, SOON, ask, busy, full, limited, nothing_left, records, refusals
from tests.gateway.test_fallbacks import _breaks, add_model, add_node
from tests.gateway.waiting import Gate, queued
from tests.patience import until


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
    left = (
        {("first", "cancelled", "no_capacity"), ("second:latest", "cancelled", "client_gone")}
        if phase == "with another"
        else {("first", "cancelled", "client_gone")}
    )

    def outcomes() -> set[tuple[str, str, str]]:
        return {(record["model"], record["outcome"], record.get("error", "")) for record in site.usage()}

    await until(lambda: outcomes() - {("first", "ok", ""), ("second", "ok", "")} == left)


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
    await until(lambda: len(site.usage()) == 4)
    # A token a second: 7 of the prompt and 2 of the answer.
    assert float(site.client.get(keys.rate("tokens", owner)) or 0) - start == pytest.approx(9, abs=2)
    gate.let()
    await nothing_left(site)


async def crossing(site: Site, monkeypatch: pytest.MonkeyPatch, gate: Gate, node: FakeNode) -> Service:
    """The first model gives its slot while the other answers whether it has one."""
    service = await site.gateway.start()
    admit = service.dispatcher._admission.admit

    async def slow(request: Any, nodes: Any, *, taken: bool = False) -> Given | Waits:
        try:
            return await admit(request, nodes, taken=taken)
        finally:
            if request.asked.at_once:
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

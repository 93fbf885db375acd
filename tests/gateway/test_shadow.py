"""Shadow traffic: requests run again on a rollout's version, unseen, on idle slots alone, and counted in no limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Failure, Final, ModelState, Ticket
from ollamamax.contract.tables import MODELS
from ollamamax.gateway.service import Service
from ollamamax.gateway.shadow import _SHADOWS, MOST_AT_ONCE, SaidHash
from tests.fakes.node import FakeNode, echo
from tests.gateway.conftest import Site
from tests.gateway.test_fallbacks import version
from tests.patience import until

OLD, NEW = version("shadow-old"), version("shadow-new")


class NewVersion:
    """A script whose new version answers when it may, and says what it is told to say."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.says: str | None = None
        self.fails = False
        self.silent = False
        self.asked = 0

    def was_asked(self, times: int) -> Callable[[], bool]:
        return lambda: self.asked == times

    async def __call__(self, ticket: Ticket) -> AsyncIterator[Event]:
        if self.silent:
            yield Final("stop", prompt_tokens=7, completion_tokens=0)
            return
        if ticket.version == NEW:
            self.asked += 1
            await self.open.wait()
            if self.fails:
                yield Failure("engine_failed", "It broke.", 500)
                return
            if self.says is not None:
                yield Delta(text=self.says, tokens=1)
                yield Final("stop", prompt_tokens=7, completion_tokens=1)
                return
        async for event in echo(ticket):
            yield event


async def staged(site: Site, *, shadow: float = 1.0, capacity: int = 4) -> tuple[Service, NewVersion, FakeNode]:
    script = NewVersion()
    node = await site.add_node(script=script, capacity=capacity)
    node.models = [ModelState(each, "echo", "loaded", "llamacpp", context_length=2048) for each in (OLD, NEW)]
    await node.say()
    service = await site.gateway.start()
    entry = {"version": OLD, "size": 1, "modified_at": 1_700_000_000.0}
    trial = {"rollout": "r", "share": 0.0, "name": f"watched@{NEW}", "shadow": shadow}
    field = f"{site.tenant}/watched:latest"
    fields = {
        field: msgspec.json.encode({**entry, "trial": trial}),
        f"{site.tenant}/watched@{NEW}": msgspec.json.encode({**entry, "version": NEW}),
    }
    directory.publish(site.client, "models", fields)
    await until(lambda: service.directory.get(MODELS, field) is not None)
    await until(lambda: service.dispatcher.fleet.engine_name(node.node, NEW) == "echo")
    return service, script, node


async def chat(site: Site, text: str = "one two", key: str | None = None, **more: Any) -> str:
    """Returns the id of the request, whose answer is the old version's."""
    body = {"model": "watched", "messages": [{"role": "user", "content": text}], **more}
    async with site.post("/v1/chat/completions", body, key) as response:
        told = await response.text()
        assert (response.status, response.headers["x-ollamamax-version"]) == (200, OLD), told
        return str(response.headers["x-request-id"])


def records(site: Site) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Of what people asked, by id; and of what ran that again, by the id of what it ran again."""
    found = site.usage()
    return (
        {each["request"]: each for each in found if not each.get("shadow_of")},
        {each["shadow_of"]: each for each in found if each.get("shadow_of")},
    )


async def test_a_request_is_run_again_unseen_and_its_record_says_of_which_it_is_the_shadow(site: Site) -> None:
    _, script, _ = await staged(site)
    same = await chat(site, temperature=0)
    await until(lambda: same in records(site)[1])
    by_chance = await chat(site)
    await until(lambda: by_chance in records(site)[1])
    streamed = await chat(site, temperature=0, stream=True)
    await until(lambda: streamed in records(site)[1])
    script.says = "two one"
    other = await chat(site, temperature=0)
    await until(lambda: other in records(site)[1])
    script.silent = True
    silent = await chat(site, temperature=0)
    await until(lambda: silent in records(site)[1])
    asked, shadows = records(site)
    requests = [same, by_chance, streamed, other, silent]
    assert set(asked) == set(shadows) == set(requests)
    assert [shadows[each].get("same_answer") for each in requests] == [True, None, True, False, True]
    for request, shadow in shadows.items():
        assert (asked[request]["version"], shadow["version"]) == (OLD, NEW)
        assert (shadow["outcome"], shadow["idle_only"], shadow["priority"]) == ("ok", True, "low")
        assert shadow["model"] == asked[request]["model"] == "watched:latest"
        assert shadow["trace"] == asked[request]["trace"]


async def test_it_counts_in_no_limit_of_the_key_or_its_tenant(site: Site) -> None:
    _, script, _ = await staged(site)
    key = await site.issue_key(site.tenant, limits={"requests_per_minute": 3, "concurrent": 1})
    script.open.clear()
    for number in range(1, 4):
        await chat(site, f"question {number}", key)
        await until(script.was_asked(number))
    body = {"model": "watched", "messages": [{"role": "user", "content": "one more"}]}
    async with site.post("/v1/chat/completions", body, key) as response:
        assert response.status == 429, "three of its own were counted, and no shadow was"
    script.open.set()
    await until(lambda: len(records(site)[1]) == 3)


async def test_what_it_holds_in_redis_keeps_no_request_of_its_tenant_out(site: Site) -> None:
    service, script, _ = await staged(site)
    script.open.clear()
    large = "x" * 45_000
    await chat(site, large)
    await until(script.was_asked(1))
    await chat(site, large)
    assert site.client.zcard(keys.LARGE) == 1
    script.open.set()
    await until(lambda: not len(service.shadows) and site.client.zcard(keys.LARGE) == 0)


async def test_one_that_fails_is_recorded_and_its_client_hears_nothing_of_it(site: Site) -> None:
    _, script, _ = await staged(site)
    script.fails = True
    request = await chat(site, temperature=0)
    await until(lambda: request in records(site)[1])
    asked, shadows = records(site)
    assert (asked[request]["outcome"], shadows[request]["outcome"]) == ("ok", "failed")
    assert shadows[request].get("same_answer") is None


async def test_one_that_the_new_version_cannot_take_has_failed(site: Site) -> None:
    service, script, _ = await staged(site)
    field = f"{site.tenant}/watched@{NEW}"
    short = {
        "version": NEW,
        "size": 1,
        "modified_at": 1_700_000_000.0,
        "profile": {"num_ctx": 512, "outside": "refuse"},
    }
    directory.publish(site.client, "models", {field: msgspec.json.encode(short)})
    await until(lambda: (new := service.directory.get(MODELS, field)) is not None and new.profile.num_ctx == 512)
    failed = _SHADOWS.labels("failed")
    before = failed.number
    request = await chat(site, options={"num_ctx": 1024})
    await until(lambda: failed.number == before + 1)
    await until(lambda: not len(service.shadows))
    assert (script.asked, request in records(site)[1]) == (0, False)


async def test_no_more_than_so_many_run_at_once_and_those_that_run_end_with_the_gateway(site: Site) -> None:
    service, script, _ = await staged(site, capacity=MOST_AT_ONCE + 8)
    script.open.clear()
    for number in range(MOST_AT_ONCE + 3):
        await chat(site, f"question {number}")
    await until(lambda: script.asked == MOST_AT_ONCE)
    assert len(service.shadows) == MOST_AT_ONCE
    await service.shadows.stop()
    assert len(service.shadows) == 0
    await until(lambda: len(records(site)[1]) == MOST_AT_ONCE)
    assert {each["outcome"] for each in records(site)[1].values()} == {"cancelled"}


async def test_where_no_slot_is_idle_it_is_dropped_and_has_no_record(site: Site) -> None:
    service, script, _ = await staged(site, capacity=1)
    script.open.clear()
    await chat(site, "first")
    await until(lambda: script.asked == 1)
    # The shadow holds the only slot: who asks now waits for it, and at the end of the first of them the other one still waits.
    waiting = [asyncio.create_task(chat(site, f"waits {number}")) for number in range(2)]
    await until(lambda: site.client.zcard(keys.WAITING) == 2)
    script.open.set()
    await asyncio.gather(*waiting)
    await until(lambda: len(records(site)[0]) == 3 and not len(service.shadows))
    assert len(records(site)[1]) < 3


async def test_a_share_of_requests_has_one_and_without_shadow_traffic_there_is_none(site: Site) -> None:
    service, _, node = await staged(site, shadow=0.5)
    requests = [await chat(site, f"question {number}") for number in range(24)]
    await until(lambda: not len(service.shadows))
    began = sum(ticket.version == NEW for ticket in node.tickets)
    assert 0 < began < len(requests)
    await until(lambda: len(records(site)[1]) == began)
    async with site.post(
        "/v1/chat/completions", {"model": f"watched@{NEW}", "messages": [{"role": "user", "content": "x"}]}
    ) as response:
        assert response.status == 200
    assert not len(service.shadows), "what names a version has nothing to be compared with"


def test_what_was_said_is_the_same_in_whatever_parts_it_came() -> None:
    def said(*deltas: Delta) -> bytes:
        found = SaidHash()
        for each in deltas:
            found.take(each)
        return found.digest()

    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert said(Delta("ab", "x"), Delta("c", "y")) == said(Delta("a"), Delta("bc", "xy"))
    assert said(Delta("a", "b")) != said(Delta("ab"))
    assert said(Delta(tool_calls=[call])) == said(Delta(tool_calls=[{**call, "id": "b"}]))
    assert said(Delta(tool_calls=[call])) != said(Delta())

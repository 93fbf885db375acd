"""However a request ends, in whatever protocol: one line in the log, one count, and one usage record or a header that says there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from ollamamax import logs
from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Failure, Final, Ticket, tables
from ollamamax.gateway import ending
from ollamamax.gateway.ending import Refusals
from ollamamax.kernel.ids import new_id
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.gateway.scripts import embeds
from tests.gateway.waiting import begun, full, queued
from tests.patience import until

PROTOCOLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "one two"}]},
    "/v1/completions": {"prompt": "one two"},
    "/v1/responses": {"input": "one two"},
    "/v1/messages": {"messages": [{"role": "user", "content": "one two"}], "max_tokens": 9},
    "/v1/embeddings": {"input": "one two"},
    "/v1/rerank": {"query": "one", "documents": ["two", "three"]},
    "/api/chat": {"messages": [{"role": "user", "content": "one two"}], "stream": False},
    "/api/generate": {"prompt": "one two", "stream": False},
    "/api/embed": {"input": "one two"},
    "/api/embeddings": {"prompt": "one two"},
}
UNSTREAMED = frozenset({"/v1/embeddings", "/v1/rerank", "/api/embed", "/api/embeddings"})


class Lines:
    """What is logged of endings."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def hear(self, line: bytes) -> None:
        said = json.loads(line)
        if said["logger"] == ending.__name__:
            self.said.append(said)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    made = Lines()
    monkeypatch.setattr(logs._lines, "hear", made.hear)
    return made


@dataclass
class Asking:
    """One client of one protocol."""

    site: Site
    path: str

    async def __call__(self, model: str = "echo", key: str | None = None, **changes: Any) -> tuple[int, Any]:
        headers = changes.pop("headers", {})
        body = {**PROTOCOLS[self.path], "model": model, **changes}
        async with self.site.post(self.path, body, key, headers=headers) as response:
            await response.read()
            return response.status, response.headers

    async def cut(self) -> None:
        """Read the beginning of a stream, and leave; or leave when a node works on what is not streamed."""
        if self.path in UNSTREAMED:
            leaving = begun(self())
            await until(lambda: any(node.tickets for node in self.site.nodes))
            leaving.cancel()
            return
        body = {**PROTOCOLS[self.path], "model": "echo", "stream": True}
        async with self.site.post(self.path, body) as response:
            await response.content.readany()
            response.close()


Way = Callable[[Asking], Awaitable[tuple[int, Any]]]


async def answers(ticket: Ticket) -> AsyncIterator[Event]:
    if ticket.inference.kind == "rerank":
        yield Final("stop", 3, 0, scores=[0.5] * len(ticket.inference.inputs))
        return
    async for event in (embeds if ticket.inference.kind == "embed" else echo)(ticket):
        yield event


async def answered(ask: Asking) -> tuple[int, Any]:
    await ask.site.add_node(script=answers)
    return await ask()


async def bad_body(ask: Asking) -> tuple[int, Any]:
    return await ask(messages=7, prompt=7, input=7, documents=7)


async def unknown_model(ask: Asking) -> tuple[int, Any]:
    return await ask("nobody-has-it")


async def no_node(ask: Asking) -> tuple[int, Any]:
    return await ask()


async def over_the_limit(ask: Asking) -> tuple[int, Any]:
    await ask.site.add_node()
    key = await ask.site.issue_key(ask.site.tenant, limits={"tokens_per_minute": 1, "requests_per_minute": 1})
    await ask(key=key)
    return await ask(key=key)


async def late_in_the_queue(ask: Asking) -> tuple[int, Any]:
    await full(ask.site)
    return await ask(headers={"x-ollamamax-timeout": "0.4"})


async def engine_fault(ask: Asking) -> tuple[int, Any]:
    await ask.site.add_node(script=breaks)
    return await ask()


async def left_in_the_queue(ask: Asking) -> tuple[int, Any]:
    await full(ask.site)
    leaving = begun(ask())
    await queued(ask.site, 1)
    leaving.cancel()
    return 499, {}


async def cut_by_its_client(ask: Asking) -> tuple[int, Any]:
    await ask.site.add_node(script=goes_on)
    await ask.cut()
    return 499, {}


async def stood_in_for(ask: Asking) -> tuple[int, Any]:
    await ask.site.add_node(script=answers)
    entry = {
        "version": "sha256:" + "cd" * 32,
        "size": 1,
        "modified_at": 1.0,
        "fallbacks": [{"model": "echo:latest", "causes": ["no_capacity"]}],
    }
    directory.publish(ask.site.client, "models", {f"{ask.site.tenant}/first:latest": msgspec.json.encode(entry)})
    service = await ask.site.gateway.start()
    await until(lambda: len(service.directory.items(tables.MODELS)) == 2)
    return await ask("first")


async def breaks(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure("invalid_request", "The engine takes no such thing.", 400, None, 3, 0)


async def goes_on(ticket: Ticket) -> AsyncIterator[Event]:
    while True:
        yield Delta(text="x" * 100, tokens=1)
        await asyncio.sleep(0.01)


WAYS: dict[Way, tuple[int, str, str]] = {
    answered: (200, "ok", ""),
    bad_body: (400, "refused", "invalid_request"),
    unknown_model: (404, "refused", "model_not_found"),
    no_node: (503, "refused", "unavailable"),
    over_the_limit: (429, "refused", "rate_limit_exceeded"),
    late_in_the_queue: (504, "refused", "deadline_exceeded"),
    engine_fault: (400, "failed", "invalid_request"),
    left_in_the_queue: (499, "cancelled", "client_gone"),
    cut_by_its_client: (499, "cancelled", "client_gone"),
    stood_in_for: (200, "ok", ""),
}


async def counted(site: Site, field: str) -> int:
    """What is written already, and what will be with the lease."""
    tally = (await site.gateway.start()).dispatcher.counted
    return int(site.client.hget(keys.REQUESTS_COUNTED, field) or 0) + tally._counted[field]


@pytest.mark.parametrize("path", PROTOCOLS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_it_ends_in_one_place(site: Site, lines: Lines, way: Way, path: str) -> None:
    status, headers = await way(Asking(site, path))
    expected, outcome, error = WAYS[way]
    assert status == expected

    def mine() -> list[dict[str, Any]]:
        return [each for each in lines.said if (each["outcome"], each["error"]) == (outcome, error)]

    await until(lambda: bool(mine()))
    line = mine()[-1]
    assert (line["event"], line["api"], line["tenant"], line["status"]) == ("request", path, site.tenant, status)
    ids = {headers["x-request-id"]} if headers else {line["request"]}
    assert headers.get("x-ollamamax-recorded") is None
    assert [each["request"] for each in lines.said].count(line["request"]) == 1
    await until(lambda: [each["request"] in ids for each in site.usage()].count(True) == 1)
    (record,) = [each for each in site.usage() if each["request"] in ids]
    told = (record["outcome"], record.get("error", ""), record.get("status", 0), record["api"])
    assert told == (outcome, error, status, path)
    alike = [(each["api"], each["outcome"], each["status"]) for each in lines.said]
    assert await counted(site, f"{path} {outcome} {status}") == alike.count((path, outcome, status))


@pytest.mark.parametrize("path", PROTOCOLS)
async def test_of_a_key_that_is_nobodys_there_is_a_line_and_a_count(site: Site, lines: Lines, path: str) -> None:
    status, headers = await Asking(site, path)(key="omx_" + "x" * 40)
    assert (status, headers["x-ollamamax-recorded"]) == (401, "0")
    (line,) = lines.said
    assert (line["tenant"], line["outcome"], line["error"]) == ("", "refused", "unauthenticated")
    assert await counted(site, f"{path} refused 401") == 1
    assert site.usage() == []


async def test_paths_and_methods_that_are_not_there_are_told_and_counted_together(site: Site, lines: Lines) -> None:
    """Whatever a client invents, there are as many counts as routes."""
    for path in ("/v1/nowhere", f"/v1/{new_id()}"):
        async with site.get(path) as response:
            assert response.status == 404
    async with site.get("/v1/messages") as response:
        assert response.status == 405
    assert [each["api"] for each in lines.said] == ["other", "other", "/v1/messages"]
    await until(lambda: site.client.hget(keys.REQUESTS_COUNTED, b"other refused 404") == b"2")
    await until(lambda: len(site.usage()) == 3)


async def test_beyond_a_tenants_rate_refusals_are_counted_alone(site: Site, lines: Lines, stranger: str) -> None:
    """One tenant's flood of nonsense takes nothing from another."""
    site.gateway._refusals = Refusals(3)
    ask = Asking(site, "/v1/chat/completions")
    told = [(await ask("nobody-has-it"))[1].get("x-ollamamax-recorded") for _ in range(5)]
    assert told == [None, None, None, "0", "0"]
    assert (await ask("nobody-has-it", key=stranger))[1].get("x-ollamamax-recorded") is None
    await until(lambda: len(site.usage()) == 4)
    assert len(lines.said) == 4
    assert await counted(site, "/v1/chat/completions refused 404") == 6


async def test_whoever_waited_in_the_queue_is_recorded_whatever_the_rate(site: Site, lines: Lines) -> None:
    site.gateway._refusals = Refusals(0)
    status, headers = await late_in_the_queue(ask := Asking(site, "/v1/chat/completions"))
    assert (status, headers.get("x-ollamamax-recorded")) == (504, None)
    await until(lambda: [each["outcome"] for each in site.usage()] == ["refused"])
    assert site.usage()[0]["route"]["waiting"] == 1
    assert (await ask("nobody-has-it"))[1]["x-ollamamax-recorded"] == "0"


async def test_a_record_has_what_its_client_wanted_noted(site: Site) -> None:
    await site.add_node()
    chat = Asking(site, "/v1/chat/completions")
    await chat(user="u" * 300, metadata={"run": "7", "n": 3, **{f"k{each}": "v" * 600 for each in range(20)}})
    await chat("nobody-has-it", safety_identifier="hashed", metadata={"zero": "a\0b"})
    await Asking(site, "/v1/messages")(metadata={"user_id": "claude"})
    await until(lambda: len(site.usage()) == 3)
    noted, refused, message = site.usage()
    assert noted["user"] == "u" * 256
    assert (len(noted["metadata"]), noted["metadata"]["run"], noted["metadata"]["n"]) == (16, "7", "3")
    assert max(map(len, noted["metadata"].values())) == 512
    assert (refused["user"], refused["metadata"], refused["model"]) == ("hashed", {"zero": "a?b"}, "nobody-has-it")
    assert message["user"] == "claude"


async def test_ignored_fields_are_in_the_line_and_counted(site: Site, lines: Lines) -> None:
    await site.add_node()
    await Asking(site, "/v1/chat/completions")(sing=True, dance={"well": 1})
    (line,) = lines.said
    assert line["ignored"] == ["sing", "dance"]
    assert await counted(site, "/v1/chat/completions ignored_fields") == 2


async def test_the_priority_tier_is_for_keys_that_may_ask_for_it(site: Site) -> None:
    await site.add_node()
    high = await site.issue_key(site.tenant, priority="high")
    ask = Asking(site, "/v1/chat/completions")
    for key, tier in ((high, "priority"), (site.key, "priority"), (high, "auto"), (high, "flex")):
        await ask(key=key, service_tier=tier)
    await until(lambda: len(site.usage()) == 4)
    assert [each.get("priority", "normal") for each in site.usage()] == ["high", "normal", "normal", "low"]


async def test_requests_with_one_cache_key_go_to_one_node_whatever_they_say(site: Site) -> None:
    nodes = [await site.add_node(script=echo) for _ in range(4)]
    ask = Asking(site, "/v1/chat/completions")
    for number in range(8):
        await ask(messages=[{"role": "user", "content": f"{number} is the number"}], prompt_cache_key="handbook")
    assert sorted(len(node.tickets) for node in nodes) == [0, 0, 0, 8]


def test_no_more_allowances_are_held_than_there_is_room_for() -> None:
    refusals = Refusals(1)
    for number in range(25_000):
        refusals.take(str(number))
    assert len(refusals._of) <= 10_000

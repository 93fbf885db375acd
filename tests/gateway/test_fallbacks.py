"""Models that stand in for another: for each cause, in each protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Failure, Final, ModelState, Ticket
from ollamamax.contract.tables import ALIASES, MODELS
from tests.fakes.node import echo
from tests.gateway.conftest import Site
from tests.gateway.scripts import counts_not, remembers
from tests.patience import until

SAY = [{"role": "user", "content": "one two"}]
CHATS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": SAY},
    "/v1/messages": {"messages": SAY, "max_tokens": 9},
    "/api/chat": {"messages": SAY},
}
OTHERS: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "one two"},
    "/v1/completions": {"prompt": "one two"},
    "/api/generate": {"prompt": "one two"},
}
HEADER = "x-ollamamax-fallback"


async def _too_long(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure(
        "context_length_exceeded", "request (9 tokens) exceeds the available context size (4)", 400, "messages"
    )


async def _breaks(ticket: Ticket) -> AsyncIterator[Event]:
    yield Failure("engine_failed", "the engine broke", 502)


async def _breaks_late(ticket: Ticket) -> AsyncIterator[Event]:
    yield Delta(text="one", tokens=1)
    yield Failure("engine_failed", "the engine broke", 502)


async def _hangs(ticket: Ticket) -> AsyncIterator[Event]:
    await asyncio.sleep(3600)
    yield Final()


SCRIPTS = {"context_too_long": _too_long, "engine_error": _breaks}


def version(name: str) -> str:
    return "sha256:" + (name.encode().hex() + "0" * 64)[:64]


async def add_model(site: Site, name: str, *fallbacks: tuple[str, str | float] | str, **profile: Any) -> None:
    """A model of its own; a fallback is a name, a name and a cause, or a name and the seconds after which it stands in."""
    entry = {
        "version": version(name),
        "size": 1,
        "modified_at": 1_700_000_000.0,
        "profile": profile,
        "fallbacks": [
            {"model": f"{each}:latest"}
            if isinstance(each, str)
            else {"model": f"{each[0]}:latest", "causes": [each[1]]}
            if isinstance(each[1], str)
            else {"model": f"{each[0]}:latest", "causes": ["no_capacity"], "after_seconds": each[1]}
            for each in fallbacks
        ],
    }
    field = f"{site.tenant}/{name}:latest"
    directory.publish(site.client, "models", {field: msgspec.json.encode(entry)})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(MODELS, field) is not None)


async def add_node(site: Site, name: str, script: Any = echo, **given: Any) -> Any:
    """A node that has that model only."""
    node = await site.add_node(script=script, **given)
    node.models = [ModelState(version(name), name, "loaded", "llamacpp", context_length=2048)]
    await node.say()
    service = await site.gateway.start()
    await until(lambda: service.dispatcher.fleet.engine_name(node.node, version(name)) == name)
    return node


async def two(site: Site, cause: str, *fallbacks: tuple[str, str] | str) -> None:
    """A model that fails for ``cause``, and one that does not."""
    await add_model(site, "first", *(fallbacks or ("second",)))
    await add_model(site, "second")
    if cause != "no_capacity":
        await add_node(site, "first", SCRIPTS[cause])
    await add_node(site, "second")


def said(text: str) -> str:
    """Everything that a stream's or an answer's JSON says, one piece after the other."""
    lines = [line.removeprefix("data: ") for line in text.splitlines()]
    return "".join(part for line in lines if line.startswith("{") for part in _parts(json.loads(line)))


def _parts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [
            part
            for name, inner in value.items()
            for part in (
                [inner]
                if name in {"content", "text", "response", "delta"} and isinstance(inner, str)
                else _parts(inner)
            )
        ]
    return [part for inner in value for part in _parts(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cause", ["no_capacity", "context_too_long", "engine_error"])
@pytest.mark.parametrize("path", CHATS)
async def test_each_cause_in_each_protocol(site: Site, path: str, cause: str, stream: bool) -> None:
    await two(site, cause, ("second", cause))
    async with site.post(path, {"model": "first", "stream": stream, **CHATS[path]}) as response:
        assert response.status == 200
        assert response.headers[HEADER] == f"first;{cause}"
        request = response.headers["x-request-id"]
        text = await response.text()
    assert "one two" in said(text)
    assert '"model":"second:latest"' in text
    assert '"model":"first"' not in text
    await until(lambda: any(record["outcome"] == "ok" for record in site.usage()))
    records = {record["model"]: record for record in site.usage()}
    assert (records["second:latest"]["request"], records["second:latest"]["version"]) == (request, version("second"))
    if cause == "no_capacity":
        assert set(records) == {"second:latest"}
    else:
        assert records["first"]["outcome"] == "failed"
        assert records["first"]["request"] != request
        assert records["first"]["trace"] == records["second:latest"]["trace"]
    assert site.client.hlen(keys.OPEN) == 0


@pytest.mark.parametrize("path", OTHERS)
async def test_in_the_other_apis_too(site: Site, path: str) -> None:
    await two(site, "context_too_long")
    async with site.post(path, {"model": "first", "stream": False, **OTHERS[path]}) as response:
        answer = await response.json()
        assert response.headers[HEADER] == "first;context_too_long"
    assert answer["model"] == "second:latest"
    assert "one two" in str(answer)


async def test_several_answers_come_from_one_model(site: Site) -> None:
    await two(site, "engine_error")
    body = {"model": "first", "messages": SAY, "n": 2}
    async with site.post("/v1/chat/completions", body) as response:
        answer = await response.json()
    assert (answer["model"], len(answer["choices"])) == ("second:latest", 2)


async def test_a_full_model_is_left_too(site: Site) -> None:
    await add_model(site, "first", "second")
    await add_model(site, "second")
    await add_node(site, "first", _hangs, capacity=1)
    await add_node(site, "second")
    waiting = [asyncio.create_task(_ask(site)) for _ in range(3)]
    await until(lambda: site.client.zcard(keys.WAITING) == 2)
    async with site.post("/api/chat", {"model": "first", "messages": SAY, "stream": False}) as response:
        assert response.status == 200
        assert response.headers[HEADER] == "first;no_capacity"
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _ask(site: Site) -> None:
    async with site.post("/api/chat", {"model": "first", "messages": SAY}) as response:
        await response.read()


async def test_only_for_the_causes_that_it_serves(site: Site) -> None:
    await two(site, "engine_error", ("second", "no_capacity"))
    async with site.post("/v1/chat/completions", {"model": "first", "messages": SAY}) as response:
        assert response.status == 502
        assert HEADER not in response.headers
        assert (await response.json())["error"]["code"] == "engine_failed"


async def test_they_are_tried_in_order_each_once_and_the_way_is_told(site: Site) -> None:
    await add_model(site, "first", ("gone", "engine_error"), "second", ("third", "engine_error"), "fourth")
    await add_model(site, "second", "first")
    await add_model(site, "third", "first")
    await add_model(site, "fourth")
    broken = await add_node(site, "first", _breaks)
    await add_node(site, "second", _too_long)
    await add_node(site, "fourth")
    # second is too short; third serves other causes; fourth answers. Nobody follows the fallbacks of fallbacks.
    async with site.post("/api/chat", {"model": "first", "messages": SAY, "stream": False}) as response:
        assert response.headers[HEADER] == "first;engine_error, second:latest;context_too_long"
        assert (await response.json())["model"] == "fourth:latest"
    assert len(broken.tickets) == 1


async def test_when_none_can_the_first_error_stands(site: Site) -> None:
    await add_model(site, "first", "second", "third")
    await add_model(site, "second", "first")
    await add_model(site, "third")
    node = await add_node(site, "first", _too_long)
    async with site.post("/v1/chat/completions", {"model": "first", "messages": SAY}) as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert (error["code"], error["type"]) == ("context_length_exceeded", "invalid_request_error")
    assert len(node.tickets) == 1


async def test_an_alias_has_fallbacks_of_its_own(site: Site) -> None:
    await two(site, "context_too_long", ("first", "engine_error"))
    entry = {"target": "first:latest", "modified_at": 1.0, "fallbacks": [{"model": "second:latest"}]}
    directory.publish(site.client, "aliases", {f"{site.tenant}/gpt-4o:latest": msgspec.json.encode(entry)})
    service = await site.gateway.start()
    await until(lambda: service.directory.get(ALIASES, f"{site.tenant}/gpt-4o:latest") is not None)
    async with site.post("/api/chat", {"model": "gpt-4o", "messages": SAY, "stream": False}) as response:
        assert response.headers[HEADER] == "gpt-4o;context_too_long"
        assert (await response.json())["model"] == "second:latest"


async def test_after_the_first_byte_nobody_stands_in(site: Site) -> None:
    await add_model(site, "first", "second")
    await add_model(site, "second")
    await add_node(site, "first", _breaks_late)
    second = await add_node(site, "second")
    async with site.post("/v1/chat/completions", {"model": "first", "messages": SAY, "stream": True}) as response:
        assert response.status == 200
        assert HEADER not in response.headers
        text = await response.text()
    assert "engine_failed" in text
    assert second.tickets == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"keep_alive": 0}),
        ("/api/generate", {}),
        ("/v1/messages/count_tokens", {"messages": SAY}),
    ],
)
async def test_what_is_about_the_model_itself_is_not_done_to_another(
    site: Site, path: str, body: dict[str, Any]
) -> None:
    await add_model(site, "first", "second")
    await add_model(site, "second")
    second = await add_node(site, "second", counts_not if "count" in path else remembers)
    async with site.post(path, {"model": "first", **body}) as response:
        assert response.status == 503
    assert second.tickets == []


async def test_what_the_client_got_wrong_is_not_tried_elsewhere(site: Site) -> None:
    await add_model(site, "first", "second")
    await add_model(site, "second")
    second = await add_node(site, "second")
    for body, status in (({"temperature": 9}, 400), ({"messages": 5}, 400)):
        async with site.post("/v1/chat/completions", {"model": "first", "messages": SAY, **body}) as response:
            assert response.status == status
    async with site.post("/v1/chat/completions", {"model": "nothing", "messages": SAY}) as response:
        assert response.status == 404
    assert second.tickets == []


async def test_each_protocol_says_too_long_in_its_own_form(site: Site) -> None:
    await add_model(site, "first")
    await add_node(site, "first", _too_long)
    text = "exceeds the available context size"
    async with site.post("/v1/chat/completions", {"model": "first", **CHATS["/v1/chat/completions"]}) as response:
        assert response.status == 400
        error = (await response.json())["error"]
        assert (error["code"], error["type"], error["param"]) == (
            "context_length_exceeded",
            "invalid_request_error",
            "messages",
        )
        assert text in error["message"]
    async with site.post("/v1/messages", {"model": "first", **CHATS["/v1/messages"]}) as response:
        assert response.status == 400
        error = (await response.json())["error"]
        assert error["type"] == "invalid_request_error"
        assert error["message"].startswith("prompt is too long: ")
    async with site.post("/api/chat", {"model": "first", **CHATS["/api/chat"]}) as response:
        assert response.status == 400
        assert text in (await response.json())["error"]

"""When what runs a request breaks: continued elsewhere, tried once more, given up, kept out; and clients that do not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import ollama
import pytest

from cluster.dispatch import token_streams
from cluster.engines.llamacpp import LlamaCpp
from cluster.fleet import breaker
from cluster.worker.inbox import evicted
from ollamamax.bus import directory, keys
from ollamamax.contract import Delta, Event, Failure, Final, Ticket
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import MODELS
from tests.engines.conftest import VERSION as HOSTED
from tests.engines.conftest import OneModel
from tests.fakes.node import FakeNode, echo
from tests.gateway.conftest import VERSION, Site
from tests.patience import LONG, until

ASK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
WORDS = [f"{number} " for number in range(10)]


async def _tells_a_little(ticket: Ticket) -> AsyncIterator[Event]:
    """Four of ten words, and then nothing any more."""
    for word in WORDS[:4]:
        yield Delta(text=word, tokens=1)
        await asyncio.sleep(0.01)
    await asyncio.sleep(3600)


async def _goes_on(ticket: Ticket) -> AsyncIterator[Event]:
    """The rest, whatever was said."""
    said = ticket.inference.continued if ticket.inference.kind == "chat" else ticket.inference.prompt
    begun = sum(word in said for word in WORDS)
    for word in WORDS[begun:]:
        yield Delta(text=word, tokens=1)
    yield Final("stop", prompt_tokens=3, completion_tokens=len(WORDS) - begun, prompt_ms=30.0, eval_ms=60.0)


async def set_profile(site: Site, **profile: Any) -> None:
    service = await site.gateway.start()
    models, field = service.directory.items(MODELS), f"{site.tenant}/echo:latest"
    listed = dict(models)[field]
    changed = msgspec.structs.replace(listed, profile=Profile(**profile))
    directory.publish(site.client, MODELS.name, {field: MODELS.encode(changed)})
    await until(lambda: dict(service.directory.items(MODELS))[field].profile == Profile(**profile))


async def _stream(site: Site, path: str, body: dict[str, Any], dying: FakeNode) -> list[str]:
    """The parts of a stream whose node dies when it has said a little."""
    parts: list[str] = []
    async with site.post(path, {**body, "stream": True}) as response:
        assert response.status == 200
        async for line in response.content:
            if text := line.decode().strip():
                parts.append(text)
            if len(dying.tickets) == 1 and not dying.dead and "3 " in text:
                await dying.kill()
    return parts


async def test_a_stream_goes_on_when_its_node_dies(site: Site) -> None:
    first = await site.add_node(script=_tells_a_little)
    answering = asyncio.create_task(_stream(site, "/api/chat", ASK, first))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(script=_goes_on)
    lines = [json.loads(line) for line in await answering]
    assert "".join(line["message"]["content"] for line in lines) == "".join(WORDS)
    assert (lines[-1]["done"], lines[-1]["continued"], lines[-1]["eval_count"]) == (True, 1, 10)
    assert lines[-1]["prompt_eval_count"] == 3
    assert second.tickets[0].inference.continued == "".join(WORDS[:4])
    assert second.tickets[0].inference.continued_tokens == 4
    await until(lambda: len(site.usage()) == 1)
    [record] = site.usage()
    assert (record["outcome"], record["attempts"], record["completion_tokens"]) == ("ok", 2, 10)
    assert [attempt.get("error", "") for attempt in record["route"]["attempts"]] == ["node_lost", ""]
    # The times of a part say nothing of the node's speed; those of a whole answer do.
    assert await _measured(site, second) == (None, None, None)
    await _stream(site, "/api/chat", ASK, first)
    assert all(value is not None for value in await _measured(site, second))


async def _measured(site: Site, node: FakeNode) -> tuple[float | None, float | None, float | None]:
    """What the gateway learned of the node."""
    fleet = (await site.gateway.start()).dispatcher.fleet
    candidate = fleet._candidates.find(node.node, VERSION)
    assert candidate is not None
    return candidate.first_token_ms, candidate.prompt_speed, candidate.speed


async def test_a_stream_goes_on_when_its_node_is_drained(site: Site) -> None:
    async def drained(ticket: Ticket) -> AsyncIterator[Event]:
        for word in WORDS[:4]:
            yield Delta(text=word, tokens=1)
        await ended.wait()
        yield evicted()

    ended = asyncio.Event()
    first = await site.add_node(script=drained)
    async with site.post("/api/chat", {**ASK, "stream": True}) as response:
        await until(lambda: len(first.tickets) == 1)
        await site.add_node(script=_goes_on)
        ended.set()
        lines = [json.loads(line) async for line in response.content]
    assert "".join(line.get("message", {}).get("content", "") for line in lines) == "".join(WORDS)
    assert (lines[-1]["done"], lines[-1]["continued"]) == (True, 1)


async def test_what_came_with_the_failure_is_not_asked_for_again(site: Site) -> None:
    """The first part and its failure come in one frame; the client of a whole answer has waited for both."""

    gate = asyncio.Event()

    async def breaks(ticket: Ticket) -> AsyncIterator[Event]:
        await gate.wait()
        for word in WORDS[:4]:
            yield Delta(text=word, tokens=1)
        yield Failure("engine_failed", "The engine broke.", 502)

    first = await site.add_node(script=breaks)
    first.lose_frames = 5
    answering = asyncio.create_task(_ask(site))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(script=_goes_on)
    gate.set()
    status, answer = await answering
    assert (status, answer["message"]["content"], answer["continued"]) == (200, "".join(WORDS), 1)
    assert answer["eval_count"] == 10
    assert second.tickets[0].inference.continued == "".join(WORDS[:4])
    assert "resend" in {control.verb for control in first.controls}
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["first_token_ms"] is None, "when the first one was made is not known"


async def test_openais_stream_goes_on_too_with_what_is_left_of_max_tokens(site: Site) -> None:
    first = await site.add_node(script=_tells_a_little)
    body = {**ASK, "max_tokens": 10, "stream_options": {"include_usage": True}}
    answering = asyncio.create_task(_stream(site, "/v1/chat/completions", body, first))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(script=_goes_on)
    chunks = [json.loads(part[6:]) for part in await answering if part.startswith("data: {")]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert text == "".join(WORDS)
    assert [chunk["continued"] for chunk in chunks if "continued" in chunk] == [1]
    assert chunks[-1]["usage"]["completion_tokens"] == 10
    assert second.tickets[0].inference.options.max_tokens == 6


async def test_a_plain_completion_goes_on_from_its_prompt(site: Site) -> None:
    first = await site.add_node(script=_tells_a_little)
    answering = asyncio.create_task(_stream(site, "/v1/completions", {"model": "echo", "prompt": "count: "}, first))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(script=_goes_on)
    chunks = [json.loads(part[6:]) for part in await answering if part.startswith("data: {")]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "".join(WORDS)
    assert second.tickets[0].inference.prompt == "count: " + "".join(WORDS[:4])


@pytest.mark.parametrize(
    "changed", [{"format": "json"}, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}]
)
async def test_what_cannot_be_taken_up_in_the_middle_ends_with_an_error(site: Site, changed: dict[str, Any]) -> None:
    first = await site.add_node(script=_tells_a_little)
    answering = asyncio.create_task(_stream(site, "/api/chat", {**ASK, **changed}, first))
    await until(lambda: len(first.tickets) == 1)
    second = await site.add_node(script=_goes_on)
    lines = [json.loads(line) for line in await answering]
    assert "error" in lines[-1]
    assert second.tickets == []
    await until(lambda: len(site.usage()) == 1)
    assert (site.usage()[0]["outcome"], site.usage()[0]["completion_tokens"]) == ("node_lost", 4)


@pytest.mark.parametrize(
    ("profile", "changed", "tells"),
    [
        ({}, {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, ""),
        ({"continue_streams": False}, {}, ""),
        ({}, {}, "".join(WORDS[:4])),
    ],
    ids=["cannot be taken up", "may not be taken up", "is taken up"],
)
async def test_a_whole_answer_survives_its_node_whatever_was_asked(
    site: Site, profile: dict[str, Any], changed: dict[str, Any], tells: str
) -> None:
    """Its client has read nothing: what cannot be taken up in the middle begins anew."""
    await set_profile(site, **profile)
    first = await site.add_node(script=_tells_a_little)

    async def answer() -> dict[str, Any]:
        async with site.post("/api/chat", {**ASK, **changed, "stream": False}) as response:
            assert response.status == 200
            found: dict[str, Any] = await response.json()
            return found

    answering = asyncio.create_task(answer())
    await until(lambda: first.said == 5)
    second = await site.add_node(script=_goes_on)
    await first.kill()
    answered = await answering
    assert answered["message"]["content"] == "".join(WORDS)
    assert answered["eval_count"] == 10
    assert answered.get("continued") == (1 if tells else None)
    assert second.tickets[0].inference.continued == tells
    await until(lambda: len(site.usage()) == 1)
    [record] = site.usage()
    assert (record["outcome"], record["attempts"], record["completion_tokens"]) == ("ok", 2, 10)


async def test_a_profile_may_forbid_to_go_on(site: Site) -> None:
    await set_profile(site, continue_streams=False)
    first = await site.add_node(script=_tells_a_little)
    answering = asyncio.create_task(_stream(site, "/api/chat", ASK, first))
    await until(lambda: len(first.tickets) == 1)
    await site.add_node(script=_goes_on)
    assert "error" in json.loads((await answering)[-1])


async def test_an_engine_that_says_nothing_is_left(site: Site) -> None:
    async def silent(ticket: Ticket) -> AsyncIterator[Event]:
        await asyncio.sleep(3600)
        yield Delta()

    await set_profile(site, first_byte_seconds=0.5)
    hung = await site.add_node(script=silent)
    asked = asyncio.create_task(_ask(site))
    await until(lambda: len(hung.tickets) == 1)
    await site.add_node(script=echo)
    status, answer = await asked
    assert (status, answer["message"]["content"]) == (200, "one two three")
    await until(lambda: any(control.verb == "cancel" for control in hung.controls))
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["route"]["attempts"][0]["error"] == "engine_hung"
    # Its breaker is open: the next request does not try it.
    assert (await _ask(site))[0] == 200
    assert len(hung.tickets) == 1


async def test_an_engine_that_cannot_be_heard_for_redis_takes_no_writes_is_not_blamed(site: Site) -> None:
    async def silent(ticket: Ticket) -> AsyncIterator[Event]:
        if len(site.nodes[0].tickets) == 1:
            await asyncio.sleep(3600)
        yield Delta("one")
        yield Final("stop", 1, 1)

    await set_profile(site, first_byte_seconds=0.5)
    node = await site.add_node(script=silent)
    asked = asyncio.create_task(_ask(site))
    await until(lambda: len(node.tickets) == 1)
    site.client.config_set("min-replicas-to-write", 1)
    try:
        status, answer = await asked
    finally:
        site.client.config_set("min-replicas-to-write", 0)
    assert (status, "It refuses: NOREPLICAS" in answer["error"]) == (503, True), answer
    await until(lambda: len(site.usage()) == 1)
    assert site.usage()[0]["route"]["attempts"][0]["error"] == "unavailable"
    assert (await _ask(site))[0] == 200, "its breaker is closed"


async def _ask(site: Site, content: str = "one two three") -> tuple[int, Any]:
    body = {"model": "echo", "messages": [{"role": "user", "content": content}], "stream": False}
    async with site.post("/api/chat", body) as response:
        return response.status, await response.json()


async def test_a_node_that_failed_is_tried_again_by_one_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "FIRST_PAUSE", 3.0)  # longer than the five requests take
    await set_profile(site, strategy="round_robin")
    broken = True

    async def sometimes(ticket: Ticket) -> AsyncIterator[Event]:
        if broken:
            yield Failure("engine_failed", "broken")
            return
        async for event in echo(ticket):
            yield event

    flaky = await site.add_node(script=sometimes)
    assert (await _ask(site))[0] == 502
    steady = await site.add_node(script=echo)
    for _ in range(5):
        assert (await _ask(site))[0] == 200
    assert (len(flaky.tickets), len(steady.tickets)) == (1, 5)
    broken = False
    async with asyncio.timeout(LONG):
        while len(flaky.tickets) < 4:
            assert (await _ask(site))[0] == 200


async def test_a_request_that_kills_engines_is_stopped_after_two_and_kept_out(site: Site) -> None:
    async def fragile(ticket: Ticket) -> AsyncIterator[Event]:
        if ticket.inference.messages[-1]["content"] == "poison":
            yield Failure("engine_crashed", "the engine broke off")
            return
        async for event in echo(ticket):
            yield event

    nodes = [await site.add_node(script=fragile) for _ in range(4)]
    status, answer = await _ask(site, "poison")
    assert (status, "breaks" in answer["error"]) == (502, True)
    assert sum(len(node.tickets) for node in nodes) == 2
    status, answer = await _ask(site, "poison")
    assert status == 422
    assert sum(len(node.tickets) for node in nodes) == 2
    assert (await _ask(site, "water"))[0] == 200
    assert site.client.zcard(keys.QUARANTINED) == 1


async def test_those_that_died_with_others_are_only_suspected(site: Site) -> None:
    """Two requests on one node, which dies twice: neither is convicted, and both are answered when they come again."""

    async def silent(ticket: Ticket) -> AsyncIterator[Event]:
        await asyncio.sleep(3600)
        yield Delta()

    first = await site.add_node(script=silent)
    asked = [asyncio.create_task(_ask(site, content)) for content in ("a", "b")]
    await until(lambda: len(first.tickets) == 2)
    second = await site.add_node(script=silent)
    await first.kill()
    await until(lambda: len(second.tickets) == 2)
    await site.add_node(script=echo)
    await second.kill()
    assert [status for status, _ in await asyncio.gather(*asked)] == [502, 502]
    assert (site.client.zcard(keys.QUARANTINED), site.client.zcard(keys.SUSPECTED)) == (0, 2)
    assert [(await _ask(site, content))[0] for content in ("a", "b")] == [200, 200]
    await until(lambda: site.client.zcard(keys.SUSPECTED) == 0)


async def test_a_client_that_does_not_read_pauses_its_engine_and_is_cut(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_streams, "READ_PATIENCE", 1.5)
    monkeypatch.setattr(token_streams, "PAUSE_BYTES", 64 << 10)

    async def talks(ticket: Ticket) -> AsyncIterator[Event]:
        while not any(control.verb == "pause" for control in node.controls):
            yield Delta(text="x" * 20_000, tokens=1)
            await asyncio.sleep(0.001)
        await asyncio.sleep(3600)

    node = await site.add_node(script=talks)
    service = await site.gateway.start()
    async with site.post("/api/chat", ASK):
        await until(lambda: any(control.verb == "pause" for control in node.controls))
        assert max(stream.backlog for stream in service.dispatcher._streams._streams.values()) < 1 << 20
        await until(lambda: len(site.usage()) == 1)
    assert (site.usage()[0]["outcome"], site.usage()[0]["error"]) == ("cancelled", "client_too_slow")
    assert site.client.scard(keys.node_slots(node.node)) == 0


async def test_a_client_that_reads_again_gets_all_of_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_streams, "PAUSE_BYTES", 64 << 10)
    monkeypatch.setattr(token_streams, "RESUME_BYTES", 16 << 10)

    async def talks(ticket: Ticket) -> AsyncIterator[Event]:
        for number in range(3000):
            paused = [control.verb for control in node.controls if control.verb in {"pause", "resume"}]
            while paused and paused[-1] == "pause":
                await asyncio.sleep(0.01)
                paused = [control.verb for control in node.controls if control.verb in {"pause", "resume"}]
            yield Delta(text=f"{number} ".ljust(2000, "."), tokens=1)
        yield Final("stop", 1, 3000)

    node = await site.add_node(script=talks)
    async with site.post("/api/chat", ASK, read_bufsize=1 << 12) as response:
        await until(lambda: any(control.verb == "pause" for control in node.controls))
        numbers = []
        async for line in response.content:
            part = json.loads(line)
            if not part["done"]:
                numbers += [int(text) for text in part["message"]["content"].replace(".", "").split()]
    assert numbers == list(range(3000))
    assert any(control.verb == "resume" for control in node.controls)


async def test_the_real_engine_goes_on_from_what_another_said(site: Site) -> None:
    """The official client, two llama.cpp engines, greedy decoding: the answer is as if nothing had happened."""
    engines = [LlamaCpp(OneModel(), slots=2, context=2048, threads=1) for _ in range(2)]
    asked: Any = {
        "model": "echo",
        "messages": [{"role": "user", "content": "Count from one to twenty in words."}],
        "options": {"temperature": 0, "seed": 1, "num_predict": 40},
    }

    in_the_middle = asyncio.Event()

    async def stops_at_the_second(ticket: Ticket) -> AsyncIterator[Event]:
        said = 0
        async for event in engines[0].generate(HOSTED, ticket.model, ticket.inference):
            yield event
            said += 1
            if said == 8 and len(first.tickets) == 2:
                in_the_middle.set()
                await asyncio.sleep(3600)

    def goes_on(ticket: Ticket) -> AsyncIterator[Event]:
        return engines[1].generate(HOSTED, ticket.model, ticket.inference)

    for engine in engines:
        await engine.start()
    client = ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {site.key}"})
    try:
        first = await site.add_node(script=stops_at_the_second)
        undisturbed = await client.chat(**asked)
        assert undisturbed.message.content
        stream = await client.chat(**asked, stream=True)
        text, last = "", None
        async for part in stream:
            text, last = text + (part.message.content or ""), part
            if not first.dead:
                await in_the_middle.wait()
                await site.add_node(script=goes_on)
                await first.kill()
        assert last is not None
        assert last.done
        assert text == undisturbed.message.content
        assert (last.eval_count, last.prompt_eval_count) == (undisturbed.eval_count, undisturbed.prompt_eval_count)
        await until(lambda: len(site.usage()) == 2)
        assert site.usage()[-1]["attempts"] == 2
    finally:
        for engine in engines:
            await engine.close()

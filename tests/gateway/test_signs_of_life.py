"""What a streaming client hears while it waits for a slot, and while a node has it and says nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from cluster.dispatch import queue
from ollamamax.contract import Delta, Event, Failure, Final, Ticket
from ollamamax.gateway import relay
from tests.gateway.conftest import Site
from tests.gateway.waiting import ASK, ask, full, queued
from tests.patience import until


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come at once."""
    monkeypatch.setattr(queue, "FIRST_WORD", 0.1)
    monkeypatch.setattr(queue, "EACH", 0.1)
    monkeypatch.setattr(relay, "SIGN_SECONDS", 0.05)


@pytest.mark.usefixtures("impatient")
async def test_streams_that_wait_hear_their_place(site: Site) -> None:
    gate, _ = await full(site)
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}) as response:
        assert response.status == 200
        first = await response.content.readline()
        assert first.startswith(b": waiting, place 1 of 1")
        gate.let(3)
        text = (await response.text()).split("\n\n")
    assert text[-2].endswith("data: [DONE]")
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
    assert json.loads(events[-1].splitlines()[-1][6:])["error"]["code"] == "deadline_exceeded"
    async with site.post("/api/chat", ASK, headers=headers) as response:
        text = await response.text()
    assert text.startswith(" ")
    assert "waited" in json.loads(text)["error"]


CHAT = [{"role": "user", "content": "one two three"}]
STREAMS: dict[str, tuple[dict[str, Any], bytes]] = {
    "/v1/chat/completions": ({"messages": CHAT, "stream": True}, b": waiting\n"),
    "/v1/completions": ({"prompt": "one two three", "stream": True}, b": waiting\n"),
    "/v1/responses": ({"input": "one two three", "stream": True}, b": waiting\n"),
    "/v1/messages": ({"messages": CHAT, "max_tokens": 9, "stream": True}, b'event: ping\ndata: {"type":"ping"}\n\n'),
    "/api/chat": ({"messages": CHAT}, b" "),
    "/api/generate": ({"prompt": "one two three"}, b" "),
}
"""Each path that streams, what asks it for a stream, and its sign of life."""


class Steps:
    """A script that says a part of its answer at each `let`."""

    def __init__(self, *events: Event) -> None:
        self.events = events
        self.places = asyncio.Semaphore(0)

    async def __call__(self, ticket: Ticket) -> AsyncIterator[Event]:
        for event in self.events:
            await self.places.acquire()
            yield event


def _steps() -> Steps:
    return Steps(Delta(text="one", tokens=1), Delta(text=" two three", tokens=2), Final("stop", 7, 3))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("choices", [1, 2])
async def test_no_phase_of_a_stream_is_silent(site: Site, path: str, choices: int) -> None:
    if choices > 1 and path != "/v1/chat/completions":
        return  # the others have one answer only
    steps = _steps()
    await site.add_node(script=steps)
    asked, sign = STREAMS[path]
    asked = {"model": "echo", **asked, **({"n": choices} if choices > 1 else {})}
    heard = b""
    async with site.post(path, asked) as response:
        assert response.status == 200
        for _event in steps.events:
            # Before its first output, in its middle, and before its end.
            signs = heard.count(sign)
            while heard.count(sign) < signs + 2:
                heard += await response.content.readany()
            for _ in range(choices):
                steps.places.release()
        heard += await response.content.read()
    assert b"\n\n\n" not in heard
    left = heard.replace(sign, b"") if sign != b" " else b"\n".join(line.strip() for line in heard.splitlines())
    blocks = left.strip().split(b"\n" if sign == b" " else b"\n\n")
    assert all(block for block in blocks)
    for block in blocks:
        data = block.partition(b"data: ")[2] if sign != b" " else block
        assert data == b"[DONE]" or json.loads(data)


@pytest.mark.usefixtures("impatient")
async def test_a_stream_that_goes_on_elsewhere_is_not_silent_meanwhile(site: Site) -> None:
    gate = asyncio.Event()

    async def breaks(ticket: Ticket) -> AsyncIterator[Event]:
        yield Delta(text="one", tokens=1)
        await gate.wait()
        yield Failure("engine_failed", "the engine broke")

    first = await site.add_node(script=breaks)
    asked, sign = STREAMS["/v1/chat/completions"]
    async with site.post("/v1/chat/completions", {"model": "echo", **asked}) as response:
        heard = await response.content.readany()
        steps = Steps(Delta(text=" two", tokens=1), Final("stop", 7, 2))
        second = await site.add_node(script=steps)
        gate.set()
        await until(lambda: len(second.tickets) == 1)
        signs = heard.count(sign)
        while heard.count(sign) < signs + 3:
            heard += await response.content.readany()
        steps.places.release()
        steps.places.release()
        heard += await response.content.read()
    assert (len(first.tickets), len(second.tickets)) == (1, 1)
    assert heard.endswith(b"data: [DONE]\n\n")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
async def test_a_failure_after_a_sign_of_life_is_told_in_the_protocols_form(site: Site, path: str) -> None:
    steps = Steps(Failure("engine_failed", "the engine broke"))
    await site.add_node(script=steps)
    asked, sign = STREAMS[path]
    heard = b""
    async with site.post(path, {"model": "echo", **asked}) as response:
        while sign not in heard:
            heard += await response.content.readany()
        steps.places.release()
        heard += await response.content.read()
    assert response.status == 200
    told = json.loads(heard.strip().splitlines()[-1].removeprefix(b"data: "))
    assert "the engine broke" in json.dumps(told["error"])


@pytest.mark.usefixtures("impatient")
async def test_a_whole_answer_keeps_its_true_status(site: Site) -> None:
    """Nothing is said before it: its head would have to say 200 before anybody knows how it ends."""
    steps = Steps(Delta(text="one", tokens=1), Failure("engine_failed", "the engine broke"))
    await site.add_node(script=steps)

    async def post() -> int:
        async with site.post("/v1/chat/completions", {"model": "echo", "messages": CHAT}) as response:
            return int(response.status)

    asking = asyncio.create_task(post())
    await until(lambda: len(site.nodes[0].tickets) == 1)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asking), 0.2)
    steps.places.release()
    steps.places.release()
    assert await asking == 502

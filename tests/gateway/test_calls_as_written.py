"""Tool calls reach a client as they are written, and are the same in the end however they were cut."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from ollamamax.contract import CallPart, Delta, Event, Final, Ticket
from ollamamax.gateway.anthropic.responses import AnthropicEvents
from ollamamax.gateway.openai.response import ResponseEvents, ShownResponse
from ollamamax.gateway.openai.response_request import ResponseRequest
from ollamamax.gateway.openai.responses import Chunks
from tests.gateway.conftest import Site
from tests.patience import LONG

SAY: list[Any] = [{"role": "user", "content": "call"}]
ARGUMENTS = '{"path": "/a", "lines": [1, 2]}'
TOOL = {"type": "object", "properties": {"path": {"type": "string"}, "lines": {"type": "array", "items": {}}}}


def _call(place: int, arguments: str) -> dict[str, Any]:
    return {"id": f"c{place}", "type": "function", "function": {"name": f"f{place}", "arguments": arguments}}


def _answer(rng: random.Random) -> tuple[list[Delta], list[str]]:
    """The deltas of an answer with calls whose parts come in any order among each other, and what the calls are."""
    written = [json.dumps({"ü" * rng.randrange(3): rng.randrange(999)} if rng.random() < 0.8 else {}) for _ in "123"]
    written = written[: rng.randrange(1, 4)]
    left = dict(enumerate(written))
    begun: set[int] = set()
    deltas = [Delta(text="I call.", tokens=1)]
    while left:
        place = rng.choice([each for each in left if each in begun or each == len(begun)])
        size = rng.randrange(len(left[place]) + 1)
        names = {} if place in begun else {"id": f"c{place}", "name": f"f{place}"}
        begun.add(place)
        part, left[place] = left[place][:size], left[place][size:]
        deltas.append(Delta(rng.choice(["", "", "x"]), tokens=1, call_parts=[CallPart(place, part, **names)]))
        if not left[place]:
            del left[place]
    if rng.random() < 0.2:
        # As a node of an older version.
        deltas = [Delta(each.text, tokens=1) for each in deltas]
    return [*deltas, Delta(tool_calls=[_call(place, text) for place, text in enumerate(written)])], written


ANSWERS = [_answer(random.Random(seed)) for seed in range(300)]


def _data(text: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith(b"data: {")]


def test_chat_completions_have_every_call_whole() -> None:
    for deltas, written in ANSWERS:
        _check_chat(deltas, written)


def _check_chat(deltas: list[Delta], written: list[str]) -> None:
    chunks = Chunks("r", "m", 0, include_usage=False)
    found: dict[int, dict[str, str]] = {}
    for chunk in _data(b"".join(chunks.delta(delta) for delta in deltas)):
        for call in chunk["choices"][0]["delta"].get("tool_calls", ()):
            if "id" in call:
                found[call["index"]] = {"id": call["id"], "name": call["function"]["name"], "arguments": ""}
            found[call["index"]]["arguments"] += call["function"]["arguments"]
    assert found == {n: {"id": f"c{n}", "name": f"f{n}", "arguments": text} for n, text in enumerate(written)}


def test_messages_have_one_block_after_the_other() -> None:
    for deltas, written in ANSWERS:
        _check_messages(deltas, written)


def _check_messages(deltas: list[Delta], written: list[str]) -> None:
    events = AnthropicEvents("r", "m")
    body = b"".join(events.delta(delta) for delta in deltas) + events.end(Final("tool_calls"))
    blocks: list[dict[str, Any]] = []
    open_ = False
    for event in _data(body):
        if event["type"] == "content_block_start":
            assert not open_
            open_ = True
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            assert open_
            assert event["index"] == len(blocks) - 1
            blocks[-1]["json"] += event["delta"].get("partial_json", "")
            blocks[-1]["text"] = blocks[-1].get("text", "") + event["delta"].get("text", "")
        elif event["type"] == "content_block_stop":
            assert open_
            assert event["index"] == len(blocks) - 1
            open_ = False
    assert not open_
    assert [each["json"] for each in blocks if each["type"] == "tool_use"] == written
    said = "".join(each["text"] for each in blocks if each["type"] == "text")
    assert said == "".join(delta.text for delta in deltas)


def test_responses_have_one_item_after_the_other() -> None:
    for deltas, written in ANSWERS:
        _check_responses(deltas, written)


def _check_responses(deltas: list[Delta], written: list[str]) -> None:
    events = ResponseEvents(ShownResponse("r", ResponseRequest(model="m", input="x"), 0, {}))
    body = events.first() + b"".join(events.delta(delta) for delta in deltas) + events.end(Final("tool_calls"))
    told = _data(body)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    output = told[-1]["response"]["output"]
    assert [item["arguments"] for item in output if item["type"] == "function_call"] == written
    parts: dict[int, str] = {}
    for event in told:
        if event["type"] == "response.function_call_arguments.delta":
            parts[event["output_index"]] = parts.get(event["output_index"], "") + event["delta"]
    calls = {n: item["arguments"] for n, item in enumerate(output) if item["type"] == "function_call"}
    assert parts == calls


class _Writes:
    """Says two parts of a call, and the rest when it is let."""

    def __init__(self) -> None:
        self.rest = asyncio.Event()

    async def __call__(self, ticket: Ticket) -> AsyncIterator[Event]:
        yield Delta(tokens=1, call_parts=[CallPart(0, ARGUMENTS[:5], "c0", "f0")])
        yield Delta(tokens=1, call_parts=[CallPart(0, ARGUMENTS[5:9])])
        await self.rest.wait()
        yield Delta(tokens=1, call_parts=[CallPart(0, ARGUMENTS[9:])])
        yield Delta(tool_calls=[_call(0, ARGUMENTS)])
        yield Final("tool_calls", prompt_tokens=1, completion_tokens=3)


async def _chat(site: Site, writes: _Writes) -> str:
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)
    tools: Any = [{"type": "function", "function": {"name": "f0", "parameters": TOOL}}]
    written = ""
    async for chunk in await client.chat.completions.create(model="echo", messages=SAY, tools=tools, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            written += (call.function and call.function.arguments) or ""
        if written == ARGUMENTS[:9]:
            writes.rest.set()
    return written


async def _responses(site: Site, writes: _Writes) -> str:
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)
    tools: Any = [{"type": "function", "name": "f0", "parameters": TOOL, "strict": False}]
    written = ""
    async with client.responses.stream(model="echo", input=SAY, tools=tools) as stream:
        async for event in stream:
            if event.type == "response.function_call_arguments.delta":
                written += event.delta
            if written == ARGUMENTS[:9]:
                writes.rest.set()
        (item,) = [each for each in (await stream.get_final_response()).output if each.type == "function_call"]
    return item.arguments


async def _messages(site: Site, writes: _Writes) -> str:
    client = anthropic.AsyncAnthropic(base_url=site.url, api_key=site.key, max_retries=0)
    tools: Any = [{"name": "f0", "input_schema": TOOL}]
    written = ""
    async with client.messages.stream(model="echo", messages=SAY, tools=tools, max_tokens=9) as stream:
        async for event in stream:
            if event.type == "input_json":
                written += event.partial_json
            if written == ARGUMENTS[:9]:
                writes.rest.set()
        (block,) = [each for each in (await stream.get_final_message()).content if each.type == "tool_use"]
    return written if block.input == json.loads(ARGUMENTS) else ""


@pytest.mark.parametrize("ask", [_chat, _responses, _messages])
async def test_official_clients_have_the_beginning_before_the_end_is_written(site: Site, ask: Any) -> None:
    writes = _Writes()
    await site.add_node(script=writes)
    assert await asyncio.wait_for(ask(site, writes), LONG) == ARGUMENTS

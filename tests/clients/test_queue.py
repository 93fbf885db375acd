"""Signs of life to a client that waits in the queue, read over by every official Python client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import ollama
import openai
import pytest

from tests.clients.conftest import Crowd
from tests.gateway.conftest import Site

SAY: list[Any] = [{"role": "user", "content": "one two three"}]


async def _openai(site: Site) -> str:
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)
    stream = await client.chat.completions.create(model="echo", messages=SAY, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def _openai_responses(site: Site) -> str:
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)
    async with client.responses.stream(model="echo", input=SAY) as stream:
        return (await stream.get_final_response()).output_text


async def _ollama_chat(site: Site) -> str:
    client = ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {site.key}"})
    stream = await client.chat(model="echo", messages=SAY, stream=True)
    return "".join([part.message.content or "" async for part in stream])


async def _anthropic(site: Site) -> str:
    client = anthropic.AsyncAnthropic(base_url=site.url, api_key=site.key, max_retries=0)
    async with client.messages.stream(model="echo", messages=SAY, max_tokens=8) as stream:
        return "".join([text async for text in stream.text_stream])


@pytest.mark.parametrize("ask", [_openai, _openai_responses, _ollama_chat, _anthropic])
async def test_signs_of_life_are_read_over(site: Site, crowd: Crowd, ask: Callable[[Site], Awaitable[str]]) -> None:
    waiting = asyncio.ensure_future(ask(site))
    await crowd.heard(3)
    crowd.leave.set()
    assert await waiting == "one two three"


async def test_in_ndjson_they_are_spaces_in_front_of_a_line(site: Site, crowd: Crowd) -> None:
    body = {"model": "echo", "messages": SAY}
    async with site.post("/api/chat", body) as response:
        await crowd.heard(3)
        crowd.leave.set()
        text = await response.text()
    signs = len(text) - len(text.lstrip(" "))
    assert signs >= 3
    assert "\n\n" not in text
    assert text[signs] == "{"


async def test_in_an_event_stream_they_are_comments(site: Site, crowd: Crowd) -> None:
    body = {"model": "echo", "messages": SAY, "stream": True}
    async with site.post("/v1/chat/completions", body) as response:
        await crowd.heard(3)
        crowd.leave.set()
        lines = (await response.text()).split("\n")
    comments = [line for line in lines if line.startswith(":")]
    assert len(comments) >= 3
    assert comments[0].startswith(": waiting")
    # No blank line follows one: simple parsers would take that for an event without data.
    assert lines[len(comments)].startswith("data: ")

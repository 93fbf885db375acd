"""What a streaming client hears while it waits for a slot."""

from __future__ import annotations

import asyncio
import json

import anthropic
import ollama
import openai
import pytest

from cluster.dispatch import queue
from tests.gateway.conftest import Site, until
from tests.gateway.waiting import ASK, ask, full, queued


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life come at once."""
    monkeypatch.setattr(queue, "FIRST_WORD", 0.1)
    monkeypatch.setattr(queue, "EACH", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_streams_that_wait_hear_their_place(site: Site) -> None:
    gate, _ = await full(site)
    async with site.post("/v1/chat/completions", {**ASK, "stream": True}) as response:
        assert response.status == 200
        first = await response.content.readline()
        assert first.startswith(b": waiting, place 1 of 1")
        gate.let(3)
        text = (await response.text()).split("\n\n")
    assert text[-2] == "data: [DONE]"
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
    assert json.loads(events[-1][6:])["error"]["code"] == "deadline_exceeded"
    async with site.post("/api/chat", ASK, headers=headers) as response:
        text = await response.text()
    assert text.startswith(" ")
    assert "waited" in json.loads(text)["error"]

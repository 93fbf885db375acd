"""Every protocol's official client on the real llama.cpp, through the gateway: counts, vectors and probabilities that are true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import ollama
import openai
import pytest
import pytest_asyncio

from cluster.engines.llamacpp import LlamaCpp
from cluster.worker.memory import load_or_unload
from ollamamax.contract import Event, Failure, Ticket
from ollamamax.gateway.ollama import show
from ollamamax.kernel.errors import OllamaMaxError
from tests.engines.conftest import VERSION as HOSTED
from tests.engines.conftest import OneModel
from tests.gateway.conftest import Site

SAY: list[Any] = [{"role": "user", "content": "Write one sentence about the sea."}]


@pytest_asyncio.fixture
async def engine(site: Site) -> AsyncIterator[LlamaCpp]:
    """The real engine behind a node of the site."""
    show._kept.clear()
    made = LlamaCpp(OneModel(), slots=2, context=2048, threads=1)
    await made.start()

    async def generate(ticket: Ticket) -> AsyncIterator[Event]:
        ticket.version = HOSTED
        try:
            if (end := await load_or_unload(made, ticket)) is not None:
                yield end
                return
            async for event in made.generate(HOSTED, ticket.model, ticket.inference):
                yield event
        except OllamaMaxError as error:
            yield Failure(error.code, error.message, error.status, error.fields.get("param"))

    await site.add_node(script=generate)
    yield made
    await made.close()


async def test_openais_client(site: Site, engine: LlamaCpp) -> None:
    client = openai.AsyncOpenAI(base_url=f"{site.url}/v1", api_key=site.key, max_retries=0)
    chat = await client.chat.completions.create(
        model="echo", messages=SAY, max_tokens=8, seed=1, logprobs=True, top_logprobs=2
    )
    probabilities = chat.choices[0].logprobs
    assert probabilities is not None
    assert "".join(each.token for each in probabilities.content or []) == chat.choices[0].message.content
    completion = await client.completions.create(
        model="echo", prompt="The capital of France is", max_tokens=4, seed=1, logprobs=1
    )
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (5, 4)
    assert completion.choices[0].logprobs is not None
    assert "".join(completion.choices[0].logprobs.tokens or []) == completion.choices[0].text
    answer = await client.responses.create(model="echo", input=SAY, max_output_tokens=8, instructions="Be brief.")
    assert answer.output_text
    assert answer.status == "incomplete"
    near = await client.embeddings.create(
        model="echo", input=["The sea is blue.", "The ocean is blue.", "Prices fell."]
    )
    sea, ocean, prices = (row.embedding for row in near.data)
    assert sum(a * b for a, b in zip(sea, ocean, strict=True)) > sum(a * b for a, b in zip(sea, prices, strict=True))
    with pytest.raises(openai.BadRequestError, match="llamacpp engine cannot do dimensions"):
        await client.embeddings.create(model="echo", input="x", dimensions=3)
    with pytest.raises(openai.BadRequestError, match="llamacpp engine cannot do suffix"):
        await client.completions.create(model="echo", prompt="x", suffix="y")


async def test_ollamas_client(site: Site, engine: LlamaCpp) -> None:
    client = ollama.AsyncClient(host=site.url, headers={"Authorization": f"Bearer {site.key}"})
    assert (await client.generate(model="echo")).done_reason == "load"
    assert engine.loaded(HOSTED)
    parts = [
        part async for part in await client.chat(model="echo", messages=SAY, stream=True, options={"num_predict": 8})
    ]
    assert parts[-1].eval_count == 8
    assert parts[-1].done_reason == "length"
    shown = await client.show("echo")
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.architecture"] == "llama"
    assert "im_start" in (shown.template or "")
    [vector] = (await client.embed(model="echo", input="The sea")).embeddings
    assert len(vector) == 576
    # A short context: reading 8,191 tokens takes this machine longer than the test's deadline.
    short = {"num_ctx": 512}
    [cut] = (await client.embed(model="echo", input="word " * 900, truncate=True, options=short)).embeddings
    assert len(cut) == 576
    assert (await client.generate(model="echo", keep_alive=0)).done_reason == "unload"
    assert not engine.loaded(HOSTED)


async def test_anthropics_client(site: Site, engine: LlamaCpp) -> None:
    client = anthropic.AsyncAnthropic(base_url=site.url, api_key=site.key, max_retries=0)
    counted = await client.messages.count_tokens(model="echo", messages=SAY, system="Be brief.")
    async with client.messages.stream(model="echo", messages=SAY, system="Be brief.", max_tokens=8) as stream:
        text = "".join([part async for part in stream.text_stream])
        message = await stream.get_final_message()
    assert text
    assert message.stop_reason == "max_tokens"
    used = message.usage
    assert used.input_tokens + (used.cache_read_input_tokens or 0) == counted.input_tokens
    assert used.output_tokens == 8
    tools: Any = [{"name": "f", "input_schema": {"type": "object"}}]
    with pytest.raises(anthropic.BadRequestError, match="llamacpp engine cannot do tools"):
        await client.messages.create(model="echo", messages=SAY, max_tokens=8, tools=tools)

"""Our own engines against OllamaMax itself, which speaks the APIs they drive: a node may stand before another installation."""

from __future__ import annotations

import pytest

from cluster.engines.base import EngineAdapter
from cluster.engines.ollama import Ollama
from cluster.engines.openai import OpenAI
from cluster.engines.openai import version_of as openai_version
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed, ModelNotFound
from tests.gateway.conftest import VERSION, Site

MODEL = "echo:latest"


async def run(engine: EngineAdapter, model: str, inference: contract.Inference) -> tuple[str, contract.Final]:
    *deltas, final = [event async for event in engine.generate(VERSION, model, inference)]
    assert isinstance(final, contract.Final)
    return "".join(delta.text for delta in deltas if isinstance(delta, contract.Delta)), final


def chat(text: str, **options: object) -> contract.Inference:
    return contract.Inference("chat", messages=[{"role": "user", "content": text}], **options)  # type: ignore[arg-type]


async def test_the_ollama_engine(site: Site) -> None:
    node = await site.add_node()
    engine = Ollama(site.url, api_key=site.key)
    await engine.start()
    try:
        assert (await engine.health()).healthy
        [state] = await engine.models()
        assert (state.version, state.name) == (VERSION, MODEL)
        said, final = await run(engine, MODEL, chat("one two three"))
        assert said == "one two three"
        assert (final.prompt_tokens, final.completion_tokens, final.eval_ms) == (7, 3, 2.5)
        said, final = await run(engine, MODEL, contract.Inference("completion", prompt="four five"))
        assert said == "four five"
        assert node.tickets[-1].inference.kind == "completion"
        with pytest.raises(ModelNotFound):
            await run(engine, "nothing", chat("Hi"))
    finally:
        await engine.close()


async def test_the_openai_engine(site: Site) -> None:
    await site.add_node()
    engine = OpenAI(site.url, api_key=site.key)
    await engine.start()
    try:
        assert (await engine.health()).healthy
        names = {state.name: state.version for state in await engine.models()}
        assert names[MODEL] == openai_version(MODEL)
        said, final = await run(engine, MODEL, chat("one two three"))
        assert said == "one two three"
        assert (final.prompt_tokens, final.completion_tokens) == (7, 3)
        with pytest.raises(ModelNotFound):
            await run(engine, "nothing", chat("Hi"))
    finally:
        await engine.close()


async def test_a_key_that_is_refused_is_the_engines_trouble_not_the_callers(site: Site) -> None:
    engine = Ollama(site.url, api_key="omx_wrong")
    await engine.start()
    try:
        with pytest.raises(EngineFailed, match="refused the node's own key"):
            await run(engine, MODEL, chat("Hi"))
    finally:
        await engine.close()

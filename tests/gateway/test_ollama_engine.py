"""A node's Ollama engine pointed at another OllamaMax: one installation serves a second one by its Ollama API."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.engines.base import EngineAdapter
from cluster.engines.build import EngineChoice, build
from ollamamax import contract
from ollamamax.contract import Event, Final, ModelState, Ticket
from ollamamax.kernel.errors import EngineFailed, ModelNotFound
from tests.fakes.node import echo
from tests.gateway.conftest import VERSION, Site
from tests.gateway.scripts import describes, embeds, embeds_not, is_sure
from tests.patience import until


class NoModels:
    def find(self, version: str) -> None:
        return None


async def _all(ticket: Ticket) -> AsyncIterator[Event]:
    """Everything that a node with a real engine answers."""
    inference = ticket.inference
    if inference.kind == "embed":
        script = embeds
    elif inference.kind == "show":
        script = describes
    elif inference.logprobs:
        script = is_sure
    elif inference.messages or inference.prompt:
        script = echo
    else:
        yield Final("unload" if inference.keep_alive == 0 else "load")
        return
    async for event in script(ticket):
        yield event


@contextlib.asynccontextmanager
async def _engine(site: Site, folder: Path, key: str | None = None) -> AsyncIterator[EngineAdapter]:
    file = folder / "key"
    file.write_text((key or site.key) + "\n")
    engine = build(EngineChoice("ollama", site.url, api_key_file=str(file)), NoModels())
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def _run(
    engine: EngineAdapter, inference: contract.Inference
) -> tuple[str, list[contract.Delta], contract.Final]:
    events = [event async for event in engine.generate(VERSION, "echo:latest", inference)]
    *deltas, final = events
    assert isinstance(final, contract.Final)
    return "".join(d.text for d in deltas if isinstance(d, contract.Delta)), deltas, final  # type: ignore[return-value]


async def test_it_is_healthy_and_lists_the_fleets_models(site: Site, tmp_path: Path) -> None:
    node = await site.add_node(script=_all)
    node.models = [ModelState(VERSION, "echo", "loaded", "llamacpp", memory=300, context_length=2048)]
    await node.say()
    service = await site.gateway.start()
    await until(lambda: service.dispatcher.fleet.states(site.tenant)[0].models[0].memory == 300)
    async with _engine(site, tmp_path) as engine:
        health = await engine.health()
        assert (health.healthy, health.kind) == (True, "ollama")
        [model] = await engine.models()
        assert (model.version, model.name, model.state) == (VERSION, "echo:latest", "loaded")
        assert (model.memory, model.vram, model.context_length, model.expires_at) == (300, 0, 2048, None)
        assert engine.loaded(VERSION)


async def test_it_chats_generates_and_embeds(site: Site, tmp_path: Path) -> None:
    node = await site.add_node(script=_all)
    async with _engine(site, tmp_path) as engine:
        chat = contract.Inference("chat", messages=[{"role": "user", "content": "one two"}])
        text, deltas, final = await _run(engine, chat)
        # Lines that are read together are one delta.
        assert (text, sum(delta.tokens for delta in deltas)) == ("one two", 2)
        assert (final.prompt_tokens, final.completion_tokens) == (7, 2)
        assert (await _run(engine, contract.Inference("completion", prompt="three")))[0] == "three"
        assert node.tickets[-1].inference.kind == "completion"
        _, _, final = await _run(engine, contract.Inference("embed", inputs=["four"]))
        assert final.embeddings == [[4.0, 0.1]]
        _, deltas, _ = await _run(engine, contract.Inference("chat", messages=chat.messages, logprobs=True))
        assert [entry["token"] for delta in deltas for entry in delta.logprobs] == ["Hé", "llo"]


async def test_it_loads_unloads_and_describes(site: Site, tmp_path: Path) -> None:
    node = await site.add_node(script=_all)
    async with _engine(site, tmp_path) as engine:
        assert await engine.load(VERSION, "echo:latest", 60) > 0
        assert node.tickets[-1].inference.keep_alive == 60
        await engine.unload(VERSION, "echo:latest")
        assert node.tickets[-1].inference.keep_alive == 0
        _, _, final = await _run(engine, contract.Inference("show"))
        assert final.info["capabilities"] == ["completion"]
        assert final.info["details"]["family"] == "llama"


async def test_what_it_cannot_do_comes_through_as_such(site: Site, tmp_path: Path) -> None:
    await site.add_node(script=embeds_not)
    async with _engine(site, tmp_path) as engine:
        with pytest.raises(Exception, match="cannot do embed") as error:
            await _run(engine, contract.Inference("embed", inputs=["x"]))
        assert getattr(error.value, "status", None) == 400
        *_, counted = await _run(engine, contract.Inference("count", messages=[{"role": "user", "content": "x" * 40}]))
        assert (counted.counted, counted.estimated) == (10, True)
        with pytest.raises(ModelNotFound):
            await engine.load(VERSION, "nothing")


async def test_without_a_good_key_it_is_not_healthy(site: Site, tmp_path: Path, stranger: str) -> None:
    async with _engine(site, tmp_path, "wrong") as engine:
        assert not (await engine.health()).healthy
        with pytest.raises(EngineFailed):
            await engine.models()
    async with _engine(site, tmp_path, stranger) as engine:
        assert await engine.models() == []

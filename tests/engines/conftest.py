"""Every engine on the real SmolLM2, with what the contract's tests need to look behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from cluster.engines.base import EngineAdapter, LocalModel
from cluster.engines.llamacpp import LlamaCpp
from cluster.engines.llamacpp_process import LlamaProcess, Order
from cluster.engines.ollama import Ollama
from cluster.engines.openai import OpenAI, version_of
from ollamamax import contract
from tests import smollm
from tests.fakes.ollama_server import OllamaServer

VERSION = "sha256:" + "a" * 64


class OneModel:
    """A node that has just the bundled model."""

    def __init__(self) -> None:
        path = smollm.path()
        self.model = LocalModel(VERSION, "smollm2:135m", path, path.stat().st_size, {"context_length": 8192})

    def find(self, version: str) -> LocalModel | None:
        return self.model if version == VERSION else None


@dataclass
class Subject:
    """An engine, its model's version and name, the llama.cpp behind it, and a way to kill that."""

    engine: EngineAdapter
    version: str
    model: str
    process: Callable[[], LlamaProcess]
    close: Callable[[], Awaitable[None]]

    async def slots_busy(self) -> int:
        """How many of llama.cpp's slots work right now, by its own word."""
        process = self.process()
        headers = {"Authorization": f"Bearer {process.api_key}"}
        async with aiohttp.ClientSession() as client, client.get(f"{process.url}/slots", headers=headers) as response:
            return sum(slot["is_processing"] for slot in await response.json())

    async def prompt_tokens(self, content: str) -> int:
        """The tokenizer's own count of a user's message in the model's template."""
        process = self.process()
        headers = {"Authorization": f"Bearer {process.api_key}"}
        async with aiohttp.ClientSession(process.url, headers=headers) as client:
            message = {"messages": [{"role": "user", "content": content}]}
            async with client.post("/apply-template", json=message) as response:
                prompt = (await response.json())["prompt"]
            async with client.post("/tokenize", json={"content": prompt, "parse_special": True}) as response:
                return len((await response.json())["tokens"])

    def kill(self) -> None:
        self.process()._child.kill()


async def llamacpp() -> Subject:
    engine = LlamaCpp(OneModel(), slots=2, context=2048, threads=1)
    await engine.start()

    def process() -> LlamaProcess:
        found = engine.residents.served[VERSION].process
        assert found is not None
        return found

    return Subject(engine, VERSION, "smollm2:135m", process, engine.close)


async def ollama() -> Subject:
    server = await asyncio.to_thread(OllamaServer, smollm.path())
    engine = Ollama(server.url)
    await engine.start()

    def process() -> LlamaProcess:
        assert server.process is not None
        return server.process

    async def close() -> None:
        await engine.close()
        await asyncio.to_thread(server.stop)

    return Subject(engine, "sha256:" + server.digest, server.name, process, close)


async def openai() -> Subject:
    """llama.cpp's own OpenAI server, which is one of the servers this engine is for."""
    child = LlamaProcess(Order(str(smollm.path()), 2, 2048, 1))
    async with aiohttp.ClientSession() as client:
        await child.ready(client)
    engine = OpenAI(child.url + "/v1", api_key=child.api_key, slots=2)
    await engine.start()
    await engine.models()

    async def close() -> None:
        await engine.close()
        await child.stop()

    return Subject(engine, version_of("model"), "model", lambda: child, close)


MAKERS = {"llamacpp": llamacpp, "ollama": ollama, "openai": openai}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=sorted(MAKERS))
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    made = await MAKERS[request.param]()
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="module", params=sorted(MAKERS))
async def mortal(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A subject of its own, for a test that kills it."""
    made = await MAKERS[request.param]()
    yield made
    await made.close()


def chat(content: str, *, system: str = "", **options: object) -> contract.Inference:
    messages = [{"role": "system", "content": system}] if system else []
    return contract.Inference(
        "chat",
        messages=[*messages, {"role": "user", "content": content}],
        options=contract.Options(**options),  # type: ignore[arg-type]
    )

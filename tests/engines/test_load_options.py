"""Clients that ask for different contexts do not make an engine load a model again (ollama #8903, #10948)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from cluster.engines.llamacpp import LlamaCpp
from cluster.engines.llamacpp_served import Served
from cluster.engines.ollama import Ollama
from cluster.engines.ollama_contexts import Contexts
from ollamamax import contract
from ollamamax.contract import Load
from ollamamax.kernel.errors import ContextTooLong, EngineFailed, Unavailable
from tests import smollm
from tests.engines.conftest import VERSION, OneModel, chat
from tests.fakes.ollama_server import OllamaServer

PROFILE = Load(num_ctx=4096)
ASKED = (2048, 1024, 4096, None)
"""What the clients ask for in turn; the last leaves it open."""


def say(num_ctx: int | None, content: str = "Hi") -> contract.Inference:
    return chat(content, max_tokens=1, num_ctx=num_ctx)


async def run(engine: Any, version: str, inference: contract.Inference, load: Load) -> contract.Final:
    *_, final = [event async for event in engine.generate(version, "smollm2:135m", inference, load=load)]
    assert isinstance(final, contract.Final)
    return final


@pytest_asyncio.fixture
async def llamacpp() -> AsyncIterator[LlamaCpp]:
    made = LlamaCpp(OneModel(), slots=2, context=512, threads=1)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    made = OllamaServer(smollm.path())
    yield made
    made.stop()


@pytest_asyncio.fixture
async def ollama(server: OllamaServer) -> AsyncIterator[Ollama]:
    made = Ollama(server.url)
    await made.start()
    yield made
    await made.close()


async def test_ollama_itself_loads_anew_for_each_that_differs(server: OllamaServer) -> None:
    async with aiohttp.ClientSession() as client:
        for num_ctx in ASKED * 2:
            options: dict[str, Any] = {"num_predict": 1} | ({"num_ctx": num_ctx} if num_ctx else {})
            body = {"model": server.name, "messages": [{"role": "user", "content": "Hi"}], "options": options}
            async with client.post(f"{server.url}/api/chat", json=body) as response:
                await response.read()
    assert server.loads == 6  # 4096 is the default as well


@pytest.mark.parametrize("load", [PROFILE, Load(num_ctx=4096, num_gpu=7)])
async def test_with_a_profile_an_ollama_host_loads_once(server: OllamaServer, ollama: Ollama, load: Load) -> None:
    version = "sha256:" + server.digest
    await ollama.load(version, server.name, 60.0, load)
    for num_ctx in ASKED * 2:
        await run(ollama, version, say(num_ctx), load)
        await ollama.models()
    assert server.loads == 1
    assert ollama.context(version) == 4096
    sent = [body["options"] for _, body, _ in server.requests]
    assert {(options["num_ctx"], options.get("num_gpu")) for options in sent} == {(4096, load.num_gpu)}


async def test_without_a_profile_an_ollama_host_loads_for_more_and_never_for_less(
    server: OllamaServer, ollama: Ollama
) -> None:
    version = "sha256:" + server.digest
    for num_ctx in (1024, 2048, 1024, None, 2048):
        await run(ollama, version, say(num_ctx), contract.NOTHING_FIXED)
        await ollama.models()
    assert server.loads == 2
    await ollama.unload(version, server.name)
    await run(ollama, version, say(1024), contract.NOTHING_FIXED)
    await ollama.models()
    assert ollama.context(version) == 1024


async def test_a_changed_profile_loads_an_ollama_host_once_more(server: OllamaServer, ollama: Ollama) -> None:
    version = "sha256:" + server.digest
    for load in (PROFILE, PROFILE, Load(2048), Load(2048)):
        await run(ollama, version, say(1024), load)
        await ollama.models()
    assert (server.loads, ollama.context(version)) == (2, 2048)


def test_an_instance_that_others_loaded_larger_stays_and_serves_what_was_sent_to_it() -> None:
    contexts = Contexts()
    contexts.told({"v": 8192})
    with contexts.fixed("v", PROFILE, None) as options:
        assert options == {"num_ctx": 8192}
    with contexts.fixed("v", PROFILE, 6000) as options:
        assert options == {"num_ctx": 8192}
    contexts.told({})
    with contexts.fixed("v", PROFILE, 2000) as options:
        assert options == {"num_ctx": 4096}
    with pytest.raises(Unavailable, match="num_ctx 6000"), contexts.fixed("v", PROFILE, 6000):
        pass


def test_what_one_asked_too_much_of_is_not_sent_for_others() -> None:
    contexts = Contexts()
    with pytest.raises(EngineFailed), contexts.fixed("v", contract.NOTHING_FIXED, 1 << 20):
        raise EngineFailed("it does not fit")
    with contexts.fixed("v", contract.NOTHING_FIXED, None) as options:
        assert options == {}


def test_the_servers_list_of_before_a_load_changes_nothing() -> None:
    contexts = Contexts()
    contexts.told({"v": 8192})
    with contexts.fixed("v", Load(8192), None):
        pass
    with contexts.fixed("v", PROFILE, None) as options:
        assert options == {"num_ctx": 4096}
        contexts.told({"v": 8192})
        with contexts.fixed("v", PROFILE, None) as second:
            assert second == {"num_ctx": 4096}
    with contexts.fixed("v", contract.NOTHING_FIXED, 6000):
        contexts.told({"v": 4096})
        with contexts.fixed("v", contract.NOTHING_FIXED, None) as options:
            assert options == {"num_ctx": 6000}


async def test_a_context_that_cannot_be_had_does_not_stay(llamacpp: LlamaCpp, monkeypatch: pytest.MonkeyPatch) -> None:
    await run(llamacpp, VERSION, say(None), contract.NOTHING_FIXED)
    begin = llamacpp.residents._begin

    async def fails(served: Served) -> None:
        if served.context > 4096:
            raise EngineFailed("it does not fit into memory")
        await begin(served)

    monkeypatch.setattr(llamacpp.residents, "_begin", fails)
    with pytest.raises(EngineFailed, match="could not be loaded"):
        await run(llamacpp, VERSION, say(8192), contract.NOTHING_FIXED)
    await run(llamacpp, VERSION, say(None), contract.NOTHING_FIXED)
    assert llamacpp.context(VERSION) == 512


async def test_llamacpp_loads_once_with_what_the_profile_says(llamacpp: LlamaCpp) -> None:
    loads = [(await run(llamacpp, VERSION, say(num_ctx), PROFILE)).load_ms > 0 for num_ctx in ASKED * 2]
    assert loads == [True] + [False] * 7
    assert llamacpp.context(VERSION) == 4096
    [state] = await llamacpp.models()
    assert state.context_length == 4096


async def test_llamacpp_without_a_profile_loads_for_more(llamacpp: LlamaCpp) -> None:
    loads = [
        (await run(llamacpp, VERSION, say(num_ctx), contract.NOTHING_FIXED)).load_ms > 0
        for num_ctx in (1024, 2048, 1024)
    ]
    assert loads == [True, True, False]


async def test_a_changed_profile_is_followed_when_the_running_requests_are_over(llamacpp: LlamaCpp) -> None:
    long = chat("Count.", max_tokens=60, seed=1)
    long.format = {"type": "array", "items": {"type": "integer"}, "minItems": 100}
    first = asyncio.create_task(run(llamacpp, VERSION, long, Load(1024)))
    while not (VERSION in llamacpp.residents.served and llamacpp.residents.served[VERSION].users):
        await asyncio.sleep(0.02)
    second = await run(llamacpp, VERSION, say(None), Load(2048, num_gpu=0))
    assert first.done()
    assert (await first).completion_tokens == 60
    assert second.load_ms > 0
    assert llamacpp.context(VERSION) == 2048
    process = llamacpp.residents.served[VERSION].process
    assert process is not None
    assert process.order.gpu_layers == 0


async def test_more_than_the_profile_gives_is_served_by_a_larger_instance_only(llamacpp: LlamaCpp) -> None:
    await run(llamacpp, VERSION, say(2048), contract.NOTHING_FIXED)
    assert (await run(llamacpp, VERSION, say(2000), Load(1024))).load_ms == 0
    assert llamacpp.context(VERSION) == 2048
    # An ordinary request finds it idle: from then on it is as the profile says.
    assert (await run(llamacpp, VERSION, say(1000), Load(1024))).load_ms > 0
    with pytest.raises(Unavailable, match="num_ctx 2000"):
        await run(llamacpp, VERSION, say(2000), Load(1024))
    # More than the model was made for is as much as it was made for, as in Ollama.
    await run(llamacpp, VERSION, say(9000), contract.NOTHING_FIXED)
    assert llamacpp.context(VERSION) == 8192


async def test_a_prompt_that_is_too_long_is_said_by_its_code(llamacpp: LlamaCpp) -> None:
    with pytest.raises(ContextTooLong) as error:
        await run(llamacpp, VERSION, say(None, "word " * 1200), Load(1024))
    assert (error.value.code, error.value.status) == ("context_length_exceeded", 400)
    with pytest.raises(ContextTooLong):
        await run(llamacpp, VERSION, contract.Inference("embed", inputs=["word " * 1200]), Load(1024))

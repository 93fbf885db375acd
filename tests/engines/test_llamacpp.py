"""What only the llama.cpp engine does: memory comes and goes, children die and are started again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cluster.engines import llamacpp_residents as module
from cluster.engines.base import LocalModel
from cluster.engines.llamacpp import LlamaCpp
from cluster.engines.llamacpp_memory import SHARE, cache_share, needed
from ollamamax import contract
from ollamamax.kernel.errors import EngineFailed, InvalidRequest, ModelNotFound
from tests import smollm
from tests.engines.conftest import chat
from tests.patience import LONG, until

FIRST, SECOND = "sha256:" + "1" * 64, "sha256:" + "2" * 64


class TwoModels:
    """The bundled model under two versions."""

    def __init__(self) -> None:
        path = smollm.path()
        self.found = {
            version: LocalModel(version, name, path, path.stat().st_size, {"context_length": 8192})
            for version, name in ((FIRST, "first"), (SECOND, "second"))
        }

    def find(self, version: str) -> LocalModel | None:
        return self.found.get(version)


@pytest.fixture
async def engine() -> AsyncIterator[LlamaCpp]:
    made = LlamaCpp(TwoModels(), slots=2, context=512, threads=1)
    await made.start()
    yield made
    await made.close()


async def run(engine: LlamaCpp, inference: contract.Inference, version: str = FIRST) -> contract.Final:
    *_, final = [event async for event in engine.generate(version, "m", inference)]
    assert isinstance(final, contract.Final)
    return final


def pid(engine: LlamaCpp, version: str = FIRST) -> int:
    process = engine.residents.served[version].process
    assert process is not None
    return process.pid


async def test_the_first_request_loads_and_the_next_does_not(engine: LlamaCpp) -> None:
    assert not engine.loaded(FIRST)
    first = await run(engine, chat("Hi", max_tokens=2))
    assert first.load_ms > 0
    assert engine.loaded(FIRST)
    assert (await run(engine, chat("Hi", max_tokens=2))).load_ms == 0
    [state] = await engine.models()
    assert state.memory is not None
    assert state.memory > 50_000_000
    assert state.expires_at is not None
    assert 290 < state.expires_at - time.time() < 301


async def test_ten_first_requests_load_once(engine: LlamaCpp) -> None:
    finals = await asyncio.gather(*(run(engine, chat("Hi", max_tokens=2)) for _ in range(10)))
    assert sum(final.load_ms > 0 for final in finals) == 1


async def test_a_caller_that_leaves_while_it_loads_does_not_stop_the_loading(engine: LlamaCpp) -> None:
    first = asyncio.create_task(run(engine, chat("Hi", max_tokens=2)))
    second = asyncio.create_task(run(engine, chat("Hi", max_tokens=2)))
    await until(lambda: FIRST in engine.residents.served and engine.residents.served[FIRST].process is not None)
    child = pid(engine)
    first.cancel()
    assert (await second).completion_tokens == 2
    assert pid(engine) == child
    await until(lambda: engine.residents.served[FIRST].users == 0)


async def test_keep_alive_zero_unloads_after_the_request(engine: LlamaCpp) -> None:
    inference = chat("Hi", max_tokens=2)
    inference.keep_alive = 0
    await run(engine, inference)
    await until(lambda: not engine.loaded(FIRST), LONG)
    assert await engine.models() == []
    # It was asked for that once: what comes next does not ask, and the model stays as usual.
    await run(engine, chat("Hi", max_tokens=2))
    [state] = await engine.models()
    assert state.expires_at is not None
    assert state.expires_at - time.time() > 290


async def test_a_negative_keep_alive_keeps_it(engine: LlamaCpp) -> None:
    inference = chat("Hi", max_tokens=2)
    inference.keep_alive = -1
    await run(engine, inference)
    [state] = await engine.models()
    assert state.expires_at is None


async def test_an_idle_model_is_unloaded(engine: LlamaCpp) -> None:
    await engine.load(FIRST, "m", keep_alive=0.3)
    assert engine.loaded(FIRST)
    await until(lambda: not engine.loaded(FIRST), LONG)


async def test_a_larger_context_is_had_by_loading_again(engine: LlamaCpp) -> None:
    await run(engine, chat("Hi", max_tokens=2))
    before = pid(engine)
    final = await run(engine, chat("word " * 600, max_tokens=2, num_ctx=1024))
    assert final.prompt_tokens > 600
    assert pid(engine) != before
    [state] = await engine.models()
    assert state.context_length == 1024


async def test_the_model_used_longest_ago_makes_room() -> None:
    free = [10 << 30]
    engine = LlamaCpp(TwoModels(), slots=1, context=512, threads=1, available_memory=lambda: free[0])
    await engine.start()
    try:
        await run(engine, chat("Hi", max_tokens=1), FIRST)
        free[0] = 0

        def room() -> int:
            return 0 if engine.loaded(FIRST) else 10 << 30

        engine.residents.available_memory = room
        await run(engine, chat("Hi", max_tokens=1), SECOND)
        assert not engine.loaded(FIRST)
        assert engine.loaded(SECOND)
        engine.residents.available_memory = lambda: 0
        await engine.unload(SECOND, "m")
        with pytest.raises(EngineFailed, match="MiB of memory"):
            await run(engine, chat("Hi", max_tokens=1), FIRST)
    finally:
        await engine.close()


async def test_a_child_that_dies_is_started_again(engine: LlamaCpp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    await run(engine, chat("Hi", max_tokens=2))
    process = engine.residents.served[FIRST].process
    assert process is not None
    process._child.kill()
    await until(lambda: not engine.loaded(FIRST))
    [state] = await engine.models()
    assert state.state == "loading"
    assert "died" in (state.error or "")
    await until(lambda: engine.loaded(FIRST))
    assert pid(engine) != process.pid
    assert (await run(engine, chat("Hi", max_tokens=2))).completion_tokens == 2


async def test_one_that_dies_again_and_again_is_given_up(engine: LlamaCpp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "MOST_DEATHS", 2)
    await run(engine, chat("Hi", max_tokens=2))
    for _ in range(2):
        await until(lambda: engine.loaded(FIRST))
        process = engine.residents.served[FIRST].process
        assert process is not None
        process._child.kill()
        await until(lambda process=process: engine.residents.served[FIRST].process is not process)  # type: ignore[misc]
    await until(lambda: engine.residents.served[FIRST].state == "failed")
    [state] = await engine.models()
    assert "died 2 times" in (state.error or "")
    with pytest.raises(EngineFailed, match="does not run"):
        await run(engine, chat("Hi", max_tokens=2))
    # Somebody who asks for it explicitly is obeyed.
    await engine.load(FIRST, "m")
    assert engine.loaded(FIRST)


async def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + b"\0" * 1000)
    models = TwoModels()
    models.found[FIRST] = LocalModel(FIRST, "broken", file, 1004)
    engine = LlamaCpp(models, slots=1, context=512, threads=1)
    await engine.start()
    try:
        with pytest.raises(EngineFailed, match="broken could not be loaded"):
            await run(engine, chat("Hi"))
        [state] = await engine.models()
        assert state.state == "failed"
        assert state.error
        # Taken away, it is not told of any more.
        await engine.unload(FIRST, "broken")
        assert await engine.models() == []
    finally:
        await engine.close()


async def test_a_model_made_for_embeddings_embeds_and_chats() -> None:
    models = TwoModels()
    models.found[FIRST].config["capabilities"] = ["embedding"]
    engine = LlamaCpp(models, slots=2, context=512, threads=1)
    await engine.start()
    try:
        final = await run(engine, contract.Inference("embed", inputs=["one", "two three", "one"]))
        assert [len(vector) for vector in final.embeddings] == [576] * 3
        assert final.embeddings[0] == pytest.approx(final.embeddings[2], abs=1e-4)
        assert final.embeddings[0] != pytest.approx(final.embeddings[1], abs=1e-2)
        assert final.prompt_tokens == 4
        assert final.load_ms > 0
        assert (await run(engine, chat("Hi", max_tokens=2))).completion_tokens == 2
    finally:
        await engine.close()


async def test_unloading_waits_for_the_running_request(engine: LlamaCpp) -> None:
    task = asyncio.create_task(run(engine, chat("Tell a story.", max_tokens=60)))
    await until(lambda: FIRST in engine.residents.served and engine.residents.served[FIRST].users > 0)
    await engine.unload(FIRST, "m")
    assert task.done() or (await task).completion_tokens
    assert not engine.loaded(FIRST)


async def test_a_version_that_is_not_here_is_not_found(engine: LlamaCpp) -> None:
    with pytest.raises(ModelNotFound):
        await engine.load("sha256:" + "9" * 64, "other")


async def test_closing_ends_the_children() -> None:
    engine = LlamaCpp(TwoModels(), slots=1, context=512, threads=1)
    await engine.start()
    await engine.load(FIRST, "m")
    process = engine.residents.served[FIRST].process
    assert process is not None
    await engine.close()
    assert not process.alive


def test_the_cache_of_prompts_has_a_bounded_share_of_what_is_free() -> None:
    assert [cache_share(free) for free in (0, (640 << 20) - 1, 640 << 20, 30 << 30, 500 << 30)] == [
        0,
        0,
        64 << 20,
        3 << 30,
        8 << 30,
    ]


def _topic(number: int) -> contract.Inference:
    return chat(f"{number} " + "word " * 250, max_tokens=1)


@asynccontextmanager
async def _with_cache_of(mib: int) -> AsyncIterator[LlamaCpp]:
    """An engine of one slot that has found just enough memory for such a cache."""
    free = needed(smollm.path().stat().st_size) + (mib * SHARE << 20)
    engine = LlamaCpp(TwoModels(), slots=1, context=512, threads=1, available_memory=lambda: free)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def test_a_prompt_that_left_its_slot_is_taken_up_again_from_the_cache() -> None:
    async with _with_cache_of(128) as engine:
        first = await run(engine, _topic(1))
        await run(engine, _topic(2))
        again = await run(engine, _topic(1))
    assert first.prompt_tokens > 250
    assert again.cached_tokens > 250


async def test_where_memory_is_short_no_prompt_is_kept_besides_the_slots() -> None:
    async with _with_cache_of(63) as engine:
        await run(engine, _topic(1))
        await run(engine, _topic(2))
        again = await run(engine, _topic(1))
        process = engine.residents.served[FIRST].process
        assert process is not None
        assert (process.order.cache_mib, process.cache_to_come()) == (0, 0)
    assert again.cached_tokens < 50


async def test_the_cache_stays_within_its_share_and_what_is_left_of_it_is_spoken_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cluster.engines.llamacpp_memory.LEAST_CACHE", 1 << 20)
    async with _with_cache_of(16) as engine:
        await run(engine, _topic(0))
        process = engine.residents.served[FIRST].process
        assert process is not None
        before, promised = process._own_memory(), process.cache_to_come()
        assert 0 < promised <= 16 << 20
        # A prompt takes about 6 MiB.
        for number in range(1, 8):
            await run(engine, _topic(number))
        assert process._own_memory() - before < 26 << 20
        assert process.cache_to_come() < promised


async def test_a_model_does_not_get_what_the_cache_of_another_may_take() -> None:
    size = smollm.path().stat().st_size
    free = needed(size) + (640 << 20)
    engine = LlamaCpp(TwoModels(), slots=1, context=512, threads=1, available_memory=lambda: free)
    await engine.start()
    try:
        await run(engine, chat("Hi", max_tokens=2))
        free = needed(size) + (1 << 20)
        await run(engine, chat("Hi", max_tokens=2), SECOND)
        assert (engine.loaded(FIRST), engine.loaded(SECOND)) == (False, True)
    finally:
        await engine.close()


async def test_a_conversation_goes_on_from_its_tokens(engine: LlamaCpp) -> None:
    def ask(text: str, context: list[int]) -> contract.Inference:
        options = contract.Options(max_tokens=8, temperature=0.0)
        messages = [{"role": "user", "content": text}]
        return contract.Inference("chat", messages, options=options, context=context, with_context=True)

    first = await run(engine, ask("My name is Ann.", []))
    assert len(first.context) >= first.prompt_tokens + first.completion_tokens - 1
    second = await run(engine, ask("What is my name?", first.context))
    assert second.context[: len(first.context)] == first.context
    assert second.prompt_tokens > first.prompt_tokens + first.completion_tokens
    plain = await run(engine, chat("My name is Ann.", max_tokens=8))
    assert plain.context == []
    with pytest.raises(InvalidRequest):
        await run(engine, ask("x", [1 << 30]))

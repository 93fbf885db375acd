"""What every engine does alike, on the real model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import pytest

from cluster import wire
from cluster.engines.base import Meter
from ollamamax.kernel.errors import EngineFailed, ModelNotFound, Unsupported
from tests.engines.conftest import Subject, chat

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def run(subject: Subject, inference: wire.Inference) -> tuple[list[wire.Delta], wire.Final]:
    """All output of a request; the last event must be its `Final`, and the only one."""
    events = [event async for event in subject.engine.generate(subject.version, subject.model, inference)]
    *deltas, final = events
    assert isinstance(final, wire.Final)
    assert all(isinstance(delta, wire.Delta) for delta in deltas)
    return deltas, final  # type: ignore[return-value]


def endless() -> wire.Inference:
    """A request whose answer cannot end soon: the grammar does not let it."""
    inference = chat("Count.", max_tokens=1800)
    inference.format = {"type": "array", "items": {"type": "integer"}, "minItems": 500}
    return inference


async def until_busy(subject: Subject, busy: bool, seconds: float) -> None:
    end = time.monotonic() + seconds
    while bool(await subject.slots_busy()) != busy:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def text(deltas: list[wire.Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def test_a_chat_is_streamed_with_true_counts(subject: Subject) -> None:
    deltas, final = await run(subject, chat("Write one sentence about the sea.", max_tokens=16, seed=3))
    assert len(deltas) >= 10
    assert final.finish_reason == "length"
    assert final.completion_tokens == 16
    assert final.prompt_tokens == await subject.prompt_tokens("Write one sentence about the sea.")
    assert sum(delta.tokens for delta in deltas) in {15, 16}
    assert final.total_ms >= final.eval_ms > 0


async def test_it_is_healthy_and_says_its_version(subject: Subject) -> None:
    health = await subject.engine.health()
    assert health.healthy
    assert health.kind == subject.engine.kind
    assert health.hosts_blobs == (subject.engine.kind == "llamacpp")


async def test_it_lists_its_models(subject: Subject) -> None:
    await run(subject, chat("Hi", max_tokens=1))
    [state] = await subject.engine.models()
    assert state.version == subject.version
    assert state.engine == subject.engine.kind
    assert state.state == "loaded"
    assert subject.engine.loaded(subject.version)


async def test_it_says_how_many_it_runs_at_once(subject: Subject) -> None:
    assert (await subject.engine.capacity()).slots >= 2


async def test_the_same_seed_gives_the_same_text(subject: Subject) -> None:
    inference = chat("Invent a name.", max_tokens=12, seed=11, temperature=0.9)
    first, _ = await run(subject, inference)
    second, _ = await run(subject, inference)
    assert text(first) == text(second)
    other, _ = await run(subject, chat("Invent a name.", max_tokens=12, seed=12, temperature=0.9))
    assert text(other) != text(first)


async def test_it_stops_at_a_stop_word(subject: Subject) -> None:
    question = "Write one sentence about the sea."
    whole, _ = await run(subject, chat(question, max_tokens=30, seed=1, temperature=0.0))
    word = text(whole).split()[4]
    short, final = await run(subject, chat(question, max_tokens=30, seed=1, temperature=0.0, stop=[word]))
    assert word not in text(short)
    assert text(whole).startswith(text(short))
    assert final.finish_reason == "stop"


async def test_a_system_prompt_counts(subject: Subject) -> None:
    _, without = await run(subject, chat("Hi", max_tokens=2))
    _, longer = await run(subject, chat("Hi", system="You are a pirate. " * 20, max_tokens=2))
    assert longer.prompt_tokens > without.prompt_tokens + 50


async def test_a_completion_has_no_template(subject: Subject) -> None:
    inference = wire.Inference("completion", prompt="The capital of France is", options=wire.Options(max_tokens=4))
    deltas, final = await run(subject, inference)
    assert final.prompt_tokens == 5
    assert final.completion_tokens == 4
    assert text(deltas)


async def test_a_json_schema_is_kept(subject: Subject) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"type": "string", "maxLength": 12}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    inference = chat("Name a colour.", max_tokens=60, seed=5, temperature=0.2)
    inference.format = schema
    deltas, final = await run(subject, inference)
    assert final.finish_reason == "stop"
    assert set(json.loads(text(deltas))) == {"colour"}


async def test_a_json_schema_is_kept_in_a_completion(subject: Subject) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 99}}, "required": ["n"]}
    inference = wire.Inference(
        "completion", prompt="A number:", format=schema, options=wire.Options(max_tokens=40, seed=1)
    )
    deltas, _ = await run(subject, inference)
    assert text(deltas).lstrip().startswith("{")


async def test_json_without_a_schema(subject: Subject) -> None:
    inference = chat("Give me an object with one number.", max_tokens=200, seed=5, temperature=0.0)
    inference.format = "json"
    deltas, final = await run(subject, inference)
    if final.finish_reason == "stop":
        assert isinstance(json.loads(text(deltas)), dict)
    assert text(deltas).lstrip().startswith("{")


async def test_several_run_at_once(subject: Subject) -> None:
    results = await asyncio.gather(*(run(subject, chat(f"Number {n}", max_tokens=8)) for n in range(4)))
    assert all(final.completion_tokens <= 8 for _, final in results)


async def test_closing_the_stream_frees_the_slot_within_a_second(subject: Subject) -> None:
    meter = Meter()
    inference = endless()
    stream = subject.engine.generate(subject.version, subject.model, inference, "", meter)
    async with contextlib.aclosing(stream) as events:
        async for _ in events:
            break
        assert await subject.slots_busy() == 1
    await until_busy(subject, False, 1.0)
    if subject.engine.kind != "ollama":  # which counts at the end only
        assert meter.prompt_tokens > 20


async def test_cancelling_the_reader_frees_the_slot_within_a_second(subject: Subject) -> None:
    # From the first token on; before it llama.cpp itself looks once a second whether the client is there.
    begun = asyncio.Event()

    async def read() -> None:
        inference = endless()
        async for _ in subject.engine.generate(subject.version, subject.model, inference):
            begun.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(begun.wait(), 20)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await until_busy(subject, False, 1.0)


async def test_an_unknown_model_is_not_found(subject: Subject) -> None:
    # llama.cpp's server answers under any name, so that this case is made by the engine that asks it.
    if subject.engine.kind == "openai":
        with pytest.raises(ModelNotFound):
            await subject.engine.load("sha256:" + "b" * 64, "nothing")
        return
    with pytest.raises(ModelNotFound):
        async for _ in subject.engine.generate("sha256:" + "b" * 64, "nothing", chat("Hi")):
            pass


@pytest.mark.parametrize(
    ("feature", "change"),
    [
        ("tools", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]}),
        ("think", {"think": True}),
        (
            "images",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y"}}]}]},
        ),
    ],
)
async def test_what_it_cannot_do_is_refused_not_dropped(subject: Subject, feature: str, change: dict[str, Any]) -> None:
    if subject.engine.kind == "openai":
        pytest.skip("an OpenAI-compatible server refuses by itself, or does it")
    inference = chat("Hi")
    for name, value in change.items():
        setattr(inference, name, value)
    with pytest.raises(Unsupported) as error:
        await run(subject, inference)
    assert subject.engine.kind in error.value.message


async def test_embedding_with_a_chat_model_is_refused(subject: Subject) -> None:
    with pytest.raises((Unsupported, EngineFailed)) as error:
        await run(subject, wire.Inference("embed", inputs=["one", "two"]))
    assert "embed" in error.value.message.lower()


async def test_a_prompt_that_is_too_long_is_the_callers_mistake(subject: Subject) -> None:
    if subject.engine.kind == "ollama":
        pytest.skip("Ollama shortens the prompt by itself")
    with pytest.raises(Exception, match="context") as error:
        await run(subject, chat("word " * 6000))
    assert getattr(error.value, "status", None) == 400


async def test_an_engine_that_dies_in_the_middle_fails_the_request(mortal: Subject) -> None:
    inference = endless()

    async def read() -> None:
        async for _ in mortal.engine.generate(mortal.version, mortal.model, inference):
            mortal.kill()

    with pytest.raises(EngineFailed) as error:
        await read()
    assert mortal.engine.kind in error.value.message

"""What every engine does alike, on the real model."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import msgspec
import pytest

from cluster.engines.base import PromptCount
from ollamamax import contract
from ollamamax.kernel.errors import ContextTooLong, EngineFailed, ModelNotFound, Unsupported
from tests.engines.conftest import Subject, chat
from tests.patience import LONG

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def run(subject: Subject, inference: contract.Inference) -> tuple[list[contract.Delta], contract.Final]:
    """All output of a request; the last event must be its `Final`, and the only one."""
    events = [event async for event in subject.engine.generate(subject.version, subject.model, inference)]
    *deltas, final = events
    assert isinstance(final, contract.Final)
    assert all(isinstance(delta, contract.Delta) for delta in deltas)
    return deltas, final  # type: ignore[return-value]


def endless() -> contract.Inference:
    """A request whose answer cannot end soon: the grammar does not let it."""
    inference = chat("Count.", max_tokens=1800)
    inference.format = {"type": "array", "items": {"type": "integer"}, "minItems": 500}
    return inference


async def until_busy(subject: Subject, busy: bool, seconds: float) -> None:
    end = time.monotonic() + seconds
    while bool(await subject.slots_busy()) != busy:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


def text(deltas: list[contract.Delta]) -> str:
    return "".join(delta.text for delta in deltas)


async def test_a_chat_is_streamed_with_true_counts(subject: Subject) -> None:
    deltas, final = await run(subject, chat("Write one sentence about the sea.", max_tokens=16, seed=3))
    assert deltas, "how many depends on what came together"
    assert final.finish_reason == "length"
    assert final.completion_tokens == 16
    assert final.prompt_tokens == await subject.prompt_tokens("Write one sentence about the sea.")
    assert sum(delta.tokens for delta in deltas) in {15, 16}
    assert final.total_ms >= final.eval_ms > 0


SEA = "Write one sentence about the sea."
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"properties": {"n": {"type": "integer"}}}},
}
NAMED = {"type": "object", "properties": {"name": {"type": "string", "pattern": r"^\w{2,5}$"}}, "required": ["name"]}
ASKED: dict[str, dict[str, Any]] = {
    "plain": {},
    "begun": {"messages": [{"role": "user", "content": SEA}, {"role": "assistant", "content": "The sea is"}]},
    "continued": {"continued": "The sea"},
    "stop": {"options": contract.Options(max_tokens=40, temperature=0.0, stop=["e ", ""])},
    "unicode": {"messages": [{"role": "user", "content": "Say this again: żółć 🌊🇫🇷 日本"}]},
    "schema": {"format": NAMED},
    "json": {"format": "json"},
    "no thinking": {"think": False},
    "logprobs": {"logprobs": True, "top_logprobs": 0},
}


@pytest.mark.parametrize("changes", ASKED.values(), ids=ASKED)
async def test_an_answer_in_one_piece_is_the_streamed_one(subject: Subject, changes: dict[str, Any]) -> None:
    kind = subject.engine.kind
    if kind == "ollama" and changes.get("logprobs"):
        pytest.skip("this Ollama gives none")
    asked = msgspec.structs.replace(chat(SEA, max_tokens=12, temperature=0.0), **changes)
    if kind == "ollama" and asked.format is NAMED:
        asked.format = NAMED | {"properties": {"name": {"type": "string", "pattern": "^[a-z]{2,5}$"}}}
    deltas, final = await run(subject, asked)
    asked.delivery = "once"
    at_once, same = await run(subject, asked)
    assert text(at_once) == text(deltas)
    assert [e["token"] for d in at_once for e in d.logprobs] == [e["token"] for d in deltas for e in d.logprobs]
    counts = ("finish_reason", "prompt_tokens", "completion_tokens", "estimated")
    assert [getattr(same, name) for name in counts] == [getattr(final, name) for name in counts]
    assert not final.estimated
    begun = asked.continued or (asked.messages[-1]["content"] if asked.messages[-1]["role"] == "assistant" else "")
    assert not begun or not text(deltas).lstrip().startswith(begun)
    if kind != "ollama" and not changes:  # Ollama's is always streamed
        assert len(at_once) == 1


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}], ids=str)
async def test_a_call_that_is_demanded_is_made(subject: Subject, choice: Any) -> None:
    other = {"type": "function", "function": {"name": "other", "parameters": {}}}
    asked = chat("Tell me a story.", max_tokens=120, temperature=0.0)
    asked.tools, asked.tool_choice = ([WEATHER, other] if isinstance(choice, dict) else [WEATHER]), choice
    if subject.engine.kind != "openai":  # whose template is not known here
        with pytest.raises(Unsupported, match="tools"):
            await run(subject, asked)
        return
    deltas, final = await run(subject, asked)
    [call] = [call for delta in deltas for call in delta.tool_calls]
    assert (call["function"]["name"], final.finish_reason) == ("weather", "tool_calls")
    assert set(json.loads(call["function"]["arguments"])) <= {"n"}
    assert text(deltas) == ""


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
    inference = contract.Inference(
        "completion", prompt="The capital of France is", options=contract.Options(max_tokens=4, temperature=0.0)
    )
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
    inference = contract.Inference(
        "completion", prompt="A number:", format=schema, options=contract.Options(max_tokens=40, seed=1)
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
    meter = PromptCount()
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
    await asyncio.wait_for(begun.wait(), LONG)
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


async def test_it_loads_and_unloads(subject: Subject) -> None:
    if subject.engine.kind == "openai":
        pytest.skip("such a server decides by itself")
    await subject.engine.unload(subject.version, subject.model)
    assert not subject.engine.loaded(subject.version)
    assert await subject.engine.load(subject.version, subject.model, 60.0) > 0
    assert subject.engine.loaded(subject.version)


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


async def test_embedding_is_done_or_refused_by_name(subject: Subject) -> None:
    inference = contract.Inference("embed", inputs=["The sea is blue.", "The ocean is blue.", "Stock prices fell."])
    if subject.engine.kind != "llamacpp":  # the other two servers were started without it
        with pytest.raises((Unsupported, EngineFailed)) as error:
            await run(subject, inference)
        assert "embed" in error.value.message.lower()
        return
    deltas, final = await run(subject, inference)
    assert deltas == []
    sea, ocean, prices = final.embeddings
    assert sum(x * x for x in sea) == pytest.approx(1.0, abs=1e-3)
    near, far = (sum(a * b for a, b in zip(sea, other, strict=True)) for other in (ocean, prices))
    assert near > far
    assert final.prompt_tokens > 10
    assert final.completion_tokens == 0
    # It still chats, and a field that llama.cpp would ignore is refused.
    assert (await run(subject, chat("Hi", max_tokens=2)))[1].completion_tokens == 2
    with pytest.raises(Unsupported, match="dimensions"):
        await run(subject, contract.Inference("embed", inputs=["one"], dimensions=3))
    # A text that is too long is cut where that is asked for, and refused where it is not.
    # By the context that the request asks for, though others had it loaded with more.
    cut = contract.Inference("embed", inputs=["word " * 4000, "one"], truncate=True)
    cut.options.num_ctx = 256
    told = (await run(subject, cut))[1]
    assert told.prompt_tokens < 300
    short = contract.Inference("embed", inputs=[" ".join(["word"] * 255), "one"], truncate=True)
    for cut_off, all_of_it in zip(told.embeddings, (await run(subject, short))[1].embeddings, strict=True):
        assert cut_off == pytest.approx(all_of_it, abs=1e-4)
    whole = contract.Inference("embed", inputs=["word " * 4000, "one"], truncate=False)
    with pytest.raises(ContextTooLong):
        await run(subject, whole)


async def test_it_tells_what_it_knows_of_a_model(subject: Subject) -> None:
    if subject.engine.kind == "ollama":
        pytest.skip("the server behind it has no such page")
    deltas, final = await run(subject, contract.Inference("show"))
    assert deltas == []
    if subject.engine.kind == "openai":
        assert final.info == {"model_info": {"context_length": 2048}}
        return
    info = final.info["model_info"]
    assert info["general.architecture"] == "llama"
    assert 134_000_000 < info["general.parameter_count"] < 135_000_000
    assert info["tokenizer.ggml.tokens"] == []
    assert "im_start" in final.info["template"]
    assert final.info["capabilities"] == ["completion"]
    _, final = await run(subject, contract.Inference("show", verbose=True))
    assert len(final.info["model_info"]["tokenizer.ggml.tokens"]) == 49152


async def test_it_counts_tokens_truly_or_says_that_it_does_not(subject: Subject) -> None:
    message = "Write one sentence about the sea."
    inference = contract.Inference("count", messages=[{"role": "user", "content": message}])
    _, counted = await run(subject, inference)
    assert counted.estimated == (subject.engine.kind == "ollama")
    if counted.estimated:
        assert 5 < counted.counted < 20
        return
    _, used = await run(subject, chat(message, max_tokens=1))
    assert counted.counted == used.prompt_tokens
    assert (counted.prompt_tokens, counted.completion_tokens) == (0, 0)


async def test_log_probabilities_come_with_each_token_or_are_refused(subject: Subject) -> None:
    if subject.engine.kind == "ollama":
        with pytest.raises(Unsupported, match="logprobs"):
            await run(subject, contract.Inference("chat", messages=[{"role": "user", "content": "Hi"}], logprobs=True))
        return
    for kind in (
        chat("Hi", max_tokens=4),
        contract.Inference("completion", prompt="A", options=contract.Options(max_tokens=4)),
    ):
        kind.logprobs, kind.top_logprobs = True, 2
        deltas, _ = await run(subject, kind)
        entries = [entry for delta in deltas for entry in delta.logprobs]
        assert "".join(entry["token"] for entry in entries) == text(deltas)
        assert all(entry["logprob"] <= 0 and len(entry["top_logprobs"]) == 2 for entry in entries)
        assert bytes(entries[0]["bytes"]).decode() == entries[0]["token"]


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

"""What the OpenAI engine learns of the server it drives: vLLM's pages, an odd server, and none at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cluster.engines import openai_wire
from cluster.engines.openai import OpenAI, version_of
from ollamamax import contract
from ollamamax.kernel.errors import (
    ContextTooLong,
    EngineFailed,
    InvalidRequest,
    NotObeyed,
    OllamaMaxError,
    Overloaded,
    Unavailable,
    Unsupported,
)
from tests.engines.conftest import chat

METRICS = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="big"} 3.0
vllm:num_requests_waiting{model_name="big"} 1.0
vllm:kv_cache_usage_perc{model_name="big"} 0.25
"""


class Vllm:
    """The pages of a vLLM server; ``answer`` is what a chat gets."""

    def __init__(self) -> None:
        self.answer = web.json_response({"error": {"message": "no"}}, status=500)
        self.embedded: dict[str, Any] = {}
        self.bodies: list[dict[str, Any]] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/version", self.version)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_post("/v1/embeddings", self.embed)
        app.router.add_post("/tokenize", self.tokenize)
        return app

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "big", "owned_by": "vllm", "max_model_len": 8192}]})

    async def version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "0.11.0"})

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=METRICS)

    async def embed(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        return web.json_response(self.embedded, status=400 if "error" in self.embedded else 200)

    async def tokenize(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        return web.json_response({"count": 11, "tokens": []})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        return self.answer


@pytest.fixture
def vllm() -> Vllm:
    return Vllm()


@pytest.fixture
async def engine(vllm: Vllm) -> AsyncIterator[OpenAI]:
    async with TestServer(vllm.application()) as server:
        made = OpenAI(str(server.make_url("/v1")), slots=7)
        await made.start()
        yield made
        await made.close()


async def run(engine: OpenAI, inference: contract.Inference) -> list[Any]:
    return [event async for event in engine.generate(version_of("big"), "big", inference)]


async def test_vllm_tells_its_version_models_and_load(engine: OpenAI) -> None:
    health = await engine.health()
    assert (health.healthy, health.version) == (True, "0.11.0")
    [state] = await engine.models()
    assert (state.name, state.version, state.context_length) == ("big", version_of("big"), 8192)
    assert engine.loaded(version_of("big"))
    load = await engine.capacity()
    assert (load.slots, load.running, load.waiting, load.kv_cache_percent) == (7, 3, 1, 25.0)


async def test_vllm_gets_its_own_names_and_counts_as_it_goes(engine: OpenAI, vllm: Vllm) -> None:
    await engine.models()
    chunks = [
        b'data: {"choices":[{"index":0,"delta":{"content":"ab"}}],"usage":{"prompt_tokens":4,"completion_tokens":2}}',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        b'data: {"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":3}}',
        b"data: [DONE]",
    ]
    vllm.answer = web.Response(body=b"\n\n".join(chunks), content_type="text/event-stream")
    delta, final = await run(engine, chat("Hi", repeat_penalty=1.2, top_k=5, num_ctx=4096))
    assert delta == contract.Delta("ab", "", 2)
    assert (final.prompt_tokens, final.completion_tokens) == (4, 3)
    [body] = vllm.bodies
    assert (body["repetition_penalty"], body["top_k"]) == (1.2, 5)
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert "num_ctx" not in body


async def test_what_only_its_start_options_could_change_is_refused(engine: OpenAI) -> None:
    await engine.models()
    inference = chat("Hi")
    inference.keep_alive = 0
    with pytest.raises(Unsupported, match="keep_alive"):
        await run(engine, inference)
    with pytest.raises(Unsupported, match="unload"):
        await engine.unload(version_of("big"), "big")


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidRequest), (401, EngineFailed), (429, Overloaded), (500, EngineFailed), (503, Unavailable)],
)
async def test_refusals_are_told_apart(engine: OpenAI, vllm: Vllm, status: int, error: type[OllamaMaxError]) -> None:
    vllm.answer = web.json_response({"error": {"message": "because"}}, status=status)
    with pytest.raises(error, match="because"):
        await run(engine, chat("Hi"))


@pytest.mark.parametrize("body", [b"data: {broken\n\n", b"data: [1, 2]\n\n", b"", b'data: {"choices":[{}]}\n\n'])
async def test_what_cannot_be_read_is_the_engines_failure(engine: OpenAI, vllm: Vllm, body: bytes) -> None:
    vllm.answer = web.Response(body=body, content_type="text/event-stream")
    with pytest.raises(EngineFailed):
        await run(engine, chat("Hi"))


async def test_a_server_that_is_not_there() -> None:
    engine = OpenAI("http://127.0.0.1:1")
    await engine.start()
    try:
        health = await engine.health()
        assert not health.healthy
        assert "cannot be reached" in (health.error or "")
        with pytest.raises(EngineFailed, match="cannot be reached"):
            await run(engine, chat("Hi"))
        assert (await engine.capacity()).running is None
    finally:
        await engine.close()


async def test_an_engine_that_was_not_started_says_so() -> None:
    with pytest.raises(EngineFailed, match="not been started"):
        await run(OpenAI("http://127.0.0.1:1"), contract.Inference("embed", inputs=["Hi"]))


def test_dialects() -> None:
    assert openai_wire.dialect_of("sglang").thinking == "template"


def answer_of(*choices: dict[str, Any], done: bool = True) -> web.Response:
    parts = [b"data: " + msgspec.json.encode({"choices": [each]}) for each in choices]
    return web.Response(
        body=b"\n\n".join([*parts, *([b"data: [DONE]"] if done else [])]), content_type="text/event-stream"
    )


async def test_an_answer_without_reason_or_usage_is_whole_and_its_counts_are_marked(engine: OpenAI, vllm: Vllm) -> None:
    await engine.models()
    vllm.answer = answer_of(
        {"delta": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}},
        {"delta": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
        {"delta": {"content": "c"}},
    )
    delta, final = await run(engine, chat("Hi"))
    assert (delta.text, delta.thinking) == ("abc", "hm")
    assert (final.finish_reason, final.completion_tokens, final.prompt_tokens) == ("stop", 3, 11)
    assert final.estimated
    # Neither a reason nor the word that it is the end: it was cut off.
    vllm.answer = answer_of({"delta": {"content": "a"}}, done=False)
    with pytest.raises(EngineFailed, match="without finishing"):
        await run(engine, chat("Hi"))


async def test_tokens_are_counted_by_the_server_s_tokenizer_or_estimated(engine: OpenAI, vllm: Vllm) -> None:
    message = [{"role": "user", "content": "word " * 40}]
    [plain] = await run(engine, contract.Inference("count", messages=message))
    assert (plain.counted, plain.estimated) == (50, True)
    await engine.models()
    [told] = await run(engine, contract.Inference("count", messages=message))
    assert (told.counted, told.estimated) == (11, False)
    assert vllm.bodies[-1]["messages"] == message


CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]


@pytest.mark.parametrize(
    ("choice", "calls", "reason", "obeyed"),
    [
        ("required", [CALL], "tool_calls", True),
        ("required", [], "stop", False),
        ("required", [], "length", True),
        ("none", [CALL], "tool_calls", False),
        ({"type": "function", "function": {"name": "f"}}, [CALL], "stop", True),
        ({"type": "function", "function": {"name": "g"}}, [CALL], "stop", False),
        ("auto", [], "stop", True),
    ],
)
async def test_a_choice_of_tools_is_obeyed_or_it_is_said(
    engine: OpenAI, vllm: Vllm, choice: Any, calls: list[Any], reason: str, obeyed: bool
) -> None:
    vllm.answer = answer_of({"delta": {"content": "x", "tool_calls": calls}, "finish_reason": reason})
    asked = chat("Hi")
    asked.tools, asked.tool_choice = TOOLS, choice
    if obeyed:
        *_, final = await run(engine, asked)
        assert final.finish_reason == ("tool_calls" if calls else reason)
        return
    with pytest.raises(NotObeyed) as error:
        await run(engine, asked)
    assert error.value.fields["param"] == "tool_choice"


@pytest.mark.parametrize(
    "rows",
    [
        [[0.5, 0.5]],
        [[0.5, 0.5], [0.5]],
        [[0.5], [None]],
        [[], []],
        [[0.5, "x"], [0.5, 0.5]],
        [[0.1, 0.2]] * 3,
        [[[0.1]], [[0.2]]],
    ],
)
async def test_what_cannot_be_the_vectors_of_two_texts_is_the_engine_s_failure(
    engine: OpenAI, vllm: Vllm, rows: list[Any]
) -> None:
    vllm.embedded = {"data": [{"index": n, "embedding": row} for n, row in enumerate(rows)]}
    with pytest.raises(EngineFailed):
        await run(engine, contract.Inference("embed", inputs=["a", "b"]))


async def test_dimensions_that_the_engine_does_not_obey_are_not_passed_on(engine: OpenAI, vllm: Vllm) -> None:
    vllm.embedded = {"data": [{"index": 0, "embedding": [0.1, 0.2]}]}
    [final] = await run(engine, contract.Inference("embed", inputs=["a"], dimensions=2))
    assert final.embeddings == [[0.1, 0.2]]
    vllm.embedded = {"data": [{"index": 0, "embedding": [0.1, 0.2, 0.3]}]}
    with pytest.raises(Unsupported, match="dimensions"):
        await run(engine, contract.Inference("embed", inputs=["a"], dimensions=2))


async def test_a_text_that_is_too_long_is_cut_by_vllm_where_that_is_asked_for(engine: OpenAI, vllm: Vllm) -> None:
    await engine.models()
    vllm.embedded = {"error": {"message": "maximum context length is 4 tokens"}}
    for truncate in (None, True):
        with pytest.raises(ContextTooLong):
            await run(engine, contract.Inference("embed", inputs=["a"], truncate=truncate))
    assert ["truncate_prompt_tokens" in body for body in vllm.bodies] == [False, False, True]

"""Whose fault an error is, in the words of every server."""

from __future__ import annotations

import msgspec
import pytest

from cluster.dispatch import dispatcher
from cluster.engines import ollama_wire, openai_chunks
from cluster.engines.faults import Fault, error_of, fault_of
from ollamamax.kernel.errors import (
    ContextTooLong,
    EngineFailed,
    InvalidRequest,
    ModelNotFound,
    NotObeyed,
    OllamaMaxError,
    Overloaded,
    Unavailable,
)

TOO_LONG = {
    "llama.cpp": '{"error":{"code":400,"message":"request (9 tokens) exceeds the available context size (4 tokens), try'
    ' increasing it","type":"exceed_context_size_error"}}',
    "llama.cpp, embedding": '{"error":{"code":500,"message":"input (9 tokens) is too large to process. increase the'
    ' physical batch size (current batch size: 4)","type":"server_error"}}',
    "OpenAI": '{"error":{"message":"Too much.","type":"invalid_request_error","code":"context_length_exceeded"}}',
    "vLLM": '{"object":"error","message":"This model\'s maximum context length is 2048 tokens. However, you requested'
    ' 9000 tokens","type":"BadRequestError","code":400}',
    "SGLang": '{"error":{"message":"The input (9000 tokens) is longer than the model\'s context length (2048 tokens)."}}',
    "TGI": '{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 9000 `inputs`'
    ' tokens and 20 `max_new_tokens`","error_type":"validation"}',
    "Ollama, chat": '{"error":"prompt too long; exceeded max context length by 12 tokens"}',
    "Ollama, embed": '{"error":"the input length exceeds the context length"}',
}
NOT = (
    '{"error":"model requires more system memory (8 GiB) than is available"}',
    '{"error":{"message":"Invalid value for max_tokens","code":"invalid_value"}}',
    "string too long",
)


def engine_of(server: str) -> str:
    name = server.partition(",")[0]
    return {"llama.cpp": "llamacpp", "Ollama": "ollama"}.get(name, "openai")


@pytest.mark.parametrize(("server", "body"), TOO_LONG.items(), ids=TOO_LONG)
def test_every_server_is_understood(server: str, body: str) -> None:
    assert fault_of(engine_of(server), body) == "too_long"


@pytest.mark.parametrize("engine", ["llamacpp", "ollama", "openai"])
@pytest.mark.parametrize("body", NOT)
def test_other_errors_are_not_taken_for_it(engine: str, body: str) -> None:
    assert fault_of(engine, body) != "too_long"


SAID: tuple[tuple[str, int, str, Fault, type[OllamaMaxError]], ...] = (
    ("llamacpp", 500, "Failed to load image or audio file", "input", InvalidRequest),
    (
        "llamacpp",
        500,
        "image input is not supported - hint: you may need to provide the mmproj",
        "input",
        InvalidRequest,
    ),
    ("llamacpp", 500, "Jinja Exception: Conversation roles must alternate user/assistant", "input", InvalidRequest),
    ("llamacpp", 500, "Unexpected message role.", "input", InvalidRequest),
    ("llamacpp", 400, "Failed to initialize samplers: failed to parse grammar", "input", InvalidRequest),
    (
        "llamacpp",
        500,
        "The model produced output that does not match the expected peg-native format",
        "answer",
        NotObeyed,
    ),
    ("llamacpp", 500, "ggml_backend_alloc: failed to allocate buffer, out of memory", "capacity", Overloaded),
    ("llamacpp", 503, "Loading model", "engine", Unavailable),
    ("llamacpp", 500, "llama_decode failed: -3", "engine", EngineFailed),
    ("ollama", 500, "failed to process inputs: image: unknown format", "input", InvalidRequest),
    ("ollama", 500, "invalid image input", "input", InvalidRequest),
    ("ollama", 500, "model requires more system memory (8 GiB) than is available (2 GiB)", "capacity", Overloaded),
    ("ollama", 503, "server busy, please try again. maximum pending requests exceeded", "capacity", Unavailable),
    ("ollama", 500, "llama runner process has terminated: signal: killed", "engine", EngineFailed),
    ("openai", 500, "cannot identify image file <_io.BytesIO object>", "input", InvalidRequest),
    ("openai", 500, "At most 1 image(s) may be provided in one prompt.", "input", InvalidRequest),
    ("openai", 500, "As of transformers v4.44, default chat template is no longer allowed", "input", InvalidRequest),
    ("openai", 500, "CUDA out of memory. Tried to allocate 2.00 GiB", "capacity", Overloaded),
    ("openai", 503, "Invalid image: it cannot be decoded", "input", InvalidRequest),
    ("openai", 500, "EngineCore encountered an issue.", "engine", EngineFailed),
    ("openai", 404, "The model `x` does not exist.", "engine", ModelNotFound),
    ("openai", 429, "Too many requests", "capacity", Overloaded),
)


@pytest.mark.parametrize(("engine", "status", "text", "fault", "error"), SAID, ids=[row[2][:40] for row in SAID])
def test_an_error_is_the_request_s_the_host_s_the_model_s_or_the_engine_s_by_what_it_says(
    engine: str, status: int, text: str, fault: Fault, error: type[OllamaMaxError]
) -> None:
    assert fault_of(engine, text) == fault
    made = error_of(engine, status, text, text)
    assert type(made) is error
    assert (made.status < 500) == (fault == "input" or status in {404, 429} or (fault == "capacity" and status != 503))


def test_what_is_the_request_s_own_is_not_held_against_a_node_nor_tried_on_another() -> None:
    for error in (InvalidRequest, ContextTooLong, NotObeyed):
        assert error.code not in dispatcher._TRY_ELSEWHERE
    assert Overloaded.code in dispatcher._TRY_ELSEWHERE - dispatcher._BLAMED


def test_it_is_understood_in_a_stream_too() -> None:
    with pytest.raises(ContextTooLong):
        openai_chunks.OpenAIChunks("llamacpp").delta(TOO_LONG["llama.cpp"].encode())
    with pytest.raises(ContextTooLong):
        ollama_wire.OllamaChunks().delta(msgspec.json.decode(TOO_LONG["Ollama, chat"]))
    with pytest.raises(Overloaded, match="memory"):
        ollama_wire.OllamaChunks().delta(msgspec.json.decode(NOT[0]))

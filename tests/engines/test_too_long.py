"""A request that does not fit into a model's context, in the words of every server."""

from __future__ import annotations

import msgspec
import pytest

from cluster.engines import ollama_wire, openai_chunks
from cluster.engines.too_long import too_long
from ollamamax.kernel.errors import ContextTooLong, EngineFailed

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


@pytest.mark.parametrize("body", TOO_LONG.values(), ids=TOO_LONG)
def test_every_server_is_understood(body: str) -> None:
    assert too_long(body)


@pytest.mark.parametrize("body", NOT)
def test_other_errors_are_not_taken_for_it(body: str) -> None:
    assert not too_long(body)


def test_it_is_understood_in_a_stream_too() -> None:
    with pytest.raises(ContextTooLong):
        openai_chunks.Chunks().delta(TOO_LONG["llama.cpp"].encode())
    with pytest.raises(ContextTooLong):
        ollama_wire.Chunks().delta(msgspec.json.decode(TOO_LONG["Ollama, chat"]))
    with pytest.raises(EngineFailed, match="memory"):
        ollama_wire.Chunks().delta(msgspec.json.decode(NOT[0]))

"""Ollama's embeddings: ``/api/embed``, and the older ``/api/embeddings`` for one prompt."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from ollamamax.contract import Final, Inference, Options
from ollamamax.gateway import http, relay
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama.requests import SamplingOptions, refuse_options, seconds
from ollamamax.gateway.ollama.responses import nanoseconds
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors


class EmbedRequest(msgspec.Struct):
    model: str
    input: str | list[str]
    truncate: bool | None = None
    dimensions: int | None = None
    options: SamplingOptions | None = None
    keep_alive: float | str | None = None


class EmbeddingsRequest(msgspec.Struct):
    model: str
    prompt: str
    options: SamplingOptions | None = None
    keep_alive: float | str | None = None


embed_decoder = msgspec.json.Decoder(EmbedRequest)
embeddings_decoder = msgspec.json.Decoder(EmbeddingsRequest)


def embed_inference(request: EmbedRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    if request.dimensions is not None and request.dimensions < 1:
        raise errors.InvalidRequest("'dimensions' must be at least 1.", param="dimensions")
    inputs = [request.input] if isinstance(request.input, str) else request.input
    return _inference(inputs, "input", request, dimensions=request.dimensions, truncate=request.truncate)


def embeddings_inference(request: EmbeddingsRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    return _inference([request.prompt], "prompt", request)


def _inference(inputs: list[str], name: str, request: EmbedRequest | EmbeddingsRequest, **more: Any) -> Inference:
    if not inputs or not all(inputs):
        raise errors.InvalidRequest(f"'{name}' must hold text, and none that is empty.", param=name)
    options = request.options or SamplingOptions()
    refuse_options(options)
    return Inference(
        kind="embed",
        inputs=inputs,
        keep_alive=seconds(request.keep_alive),
        options=Options(num_ctx=options.num_ctx),
        **more,
    )


async def embed(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(embed_decoder, await service.body(scope, receive))
    final, headers = await _run(service, call, body.model, embed_inference(body), receive)
    answer = {
        "model": body.model,
        "embeddings": final.embeddings,
        "total_duration": nanoseconds((time.time() - call.received_at) * 1000),
        "load_duration": nanoseconds(final.load_ms),
        "prompt_eval_count": final.prompt_tokens,
    }
    await http.respond(send, 200, http.encode(answer), headers)


async def embeddings(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(embeddings_decoder, await service.body(scope, receive))
    final, headers = await _run(service, call, body.model, embeddings_inference(body), receive)
    await http.respond(send, 200, http.encode({"embedding": final.embeddings[0]}), headers)


async def _run(
    service: Service, call: Call, model: str, inference: Inference, receive: Receive
) -> tuple[Final, list[tuple[bytes, bytes]]]:
    async with service.execution(call, model, inference, receive) as execution:
        return (await relay.gather(execution)).final, execution.headers()

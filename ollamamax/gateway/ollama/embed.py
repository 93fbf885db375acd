"""Ollama's embeddings: ``/api/embed``, and the older ``/api/embeddings`` for one prompt."""

from __future__ import annotations

import math
import time
from typing import Any

import msgspec

from ollamamax.contract import Final, Inference, Options, as_ollama
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway import http, relay
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama import memory
from ollamamax.gateway.ollama.durations import seconds
from ollamamax.gateway.ollama.options import LEFT_TO_THE_FLEET, SamplingOptions, context, sampling
from ollamamax.gateway.ollama.requests import only_memory
from ollamamax.gateway.ollama.responses import nanoseconds
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors


class EmbedRequest(msgspec.Struct, forbid_unknown_fields=True):
    model: str = ""
    input: str | list[str] = ""
    truncate: bool | None = None
    dimensions: int | None = None
    options: SamplingOptions | None = None
    keep_alive: float | str | None = None


class EmbeddingsRequest(msgspec.Struct, forbid_unknown_fields=True):
    model: str = ""
    prompt: str = ""
    options: SamplingOptions | None = None
    keep_alive: float | str | None = None


embed_decoder = msgspec.json.Decoder(EmbedRequest)
embeddings_decoder = msgspec.json.Decoder(EmbeddingsRequest)
_WITHOUT_EFFECT = frozenset(SamplingOptions.__struct_fields__) - {"num_ctx"} - LEFT_TO_THE_FLEET.keys()


def embed_inference(request: EmbedRequest, ignored: Ignored) -> Inference:
    """Without inputs it loads the model. Texts that are too long are cut, unless ``truncate`` is false. Raises `InvalidRequest`."""
    inputs = [request.input] if isinstance(request.input, str) else request.input
    # Ollama itself shortens the vectors, whatever the model (`shortened`).
    return _inference(inputs, "input", request, ignored, truncate=request.truncate is not False)


def embeddings_inference(request: EmbeddingsRequest, ignored: Ignored) -> Inference:
    """Without a prompt it loads the model. Raises `InvalidRequest`."""
    return _inference([request.prompt], "prompt", request, ignored)


def _inference(
    inputs: list[str], name: str, request: EmbedRequest | EmbeddingsRequest, ignored: Ignored, **more: Any
) -> Inference:
    given = request.options or SamplingOptions()
    sampling(given, ignored)
    ignored.add(f"options.{each}" for each in sorted(_WITHOUT_EFFECT) if getattr(given, each) is not None)
    options = Options(num_ctx=context(given))
    if inputs in ([], [""]):
        return Inference(kind="chat", keep_alive=seconds(request.keep_alive), options=options)
    if not all(inputs):
        raise errors.InvalidRequest(f"'{name}' must hold text, and none that is empty.", param=name)
    return Inference(kind="embed", inputs=inputs, keep_alive=seconds(request.keep_alive), options=options, **more)


def shortened(vector: list[float], dimensions: int | None) -> list[float]:
    """Its first numbers, at the length 1 again, as Ollama's server makes them; all of it where there are no more."""
    if dimensions is None or not 0 < dimensions < len(vector):
        return vector
    head = vector[:dimensions]
    length = max(math.hypot(*head), 1e-12)
    return [each / length for each in head]


async def embed(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = as_ollama.read(embed_decoder, await service.body(scope, receive), call.ignored.add)
    final, headers = await _run(
        service, call, as_ollama.named(body.model), embed_inference(body, call.ignored), receive
    )
    answer = {
        "model": body.model,
        "embeddings": [shortened(vector, body.dimensions) for vector in final.embeddings],
        "total_duration": nanoseconds((time.time() - call.received_at) * 1000),
        "load_duration": nanoseconds(final.load_ms),
        "prompt_eval_count": final.prompt_tokens,
    }
    await http.respond(send, 200, http.encode(answer), headers)


async def embeddings(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = as_ollama.read(embeddings_decoder, await service.body(scope, receive), call.ignored.add)
    final, headers = await _run(
        service, call, as_ollama.named(body.model), embeddings_inference(body, call.ignored), receive
    )
    vector = final.embeddings[0] if final.embeddings else []
    await http.respond(send, 200, http.encode({"embedding": vector}), headers)


async def _run(
    service: Service, call: Call, model: str, inference: Inference, receive: Receive
) -> tuple[Final, list[tuple[bytes, bytes]]]:
    if only_memory(inference):
        change = memory.unload if inference.keep_alive == 0 else memory.load
        return Final(), await change(service, call, model, inference, receive)
    async with service.execution(call, model, inference, receive) as execution:
        return (await relay.gather(execution)).final, execution.headers()

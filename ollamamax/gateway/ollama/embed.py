"""Ollama's embeddings: ``/api/embed``, and the older ``/api/embeddings`` for one prompt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import msgspec

from ollamamax.contract import Final, Inference, Options, as_ollama
from ollamamax.contract.as_ollama import OllamaFields
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway.asked import Asked, Notes, Output, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.gateway.ollama.durations import seconds
from ollamamax.gateway.ollama.options import IGNORED, LEFT_TO_THE_FLEET, SAMPLED, SamplingOptions, context
from ollamamax.gateway.ollama.requests import only_memory
from ollamamax.gateway.ollama.responses import nanoseconds
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


_IGNORED = IGNORED | dict.fromkeys(SAMPLED, "an embedding is not sampled")
EMBED = OllamaFields(EmbedRequest, _IGNORED, defaults=LEFT_TO_THE_FLEET)
EMBEDDINGS = OllamaFields(EmbeddingsRequest, _IGNORED, defaults=LEFT_TO_THE_FLEET)


def embed_inference(request: EmbedRequest, _ignored: Ignored) -> Inference:
    """Without inputs it loads the model. Texts that are too long are cut, unless ``truncate`` is false. Raises `InvalidRequest`."""
    inputs = [request.input] if isinstance(request.input, str) else request.input
    # Ollama itself shortens the vectors, whatever the model (`shortened`).
    return _inference(inputs, "input", request, truncate=request.truncate is not False)


def embeddings_inference(request: EmbeddingsRequest, _ignored: Ignored) -> Inference:
    """Without a prompt it loads the model. Raises `InvalidRequest`."""
    return _inference([request.prompt], "prompt", request)


def _inference(inputs: list[str], name: str, request: EmbedRequest | EmbeddingsRequest, **more: Any) -> Inference:
    options = Options(num_ctx=context(request.options))
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


def parse_embed(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest`."""
    request = EMBED.parse(body, notes.ignored)
    return _asked(request, notes, lambda: embed_inference(request, notes.ignored))


def parse_embeddings(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest`."""
    request = EMBEDDINGS.parse(body, notes.ignored)
    return _asked(request, notes, lambda: embeddings_inference(request, notes.ignored))


def _asked(request: EmbedRequest | EmbeddingsRequest, notes: Notes, to_inference: Callable[[], Inference]) -> Asked:
    notes.take(as_ollama.named(request.model))
    inference = to_inference()
    return Asked(model=request.model, inferences=[inference], body=request, may_fall_back=not only_memory(inference))


class Vectors(Renderer):
    """The answer of ``/api/embed``."""

    def __init__(self, asked: Asked, model: str, received_at: float) -> None:
        self._body: EmbedRequest = asked.body
        self._only_memory = only_memory(asked.inferences[0])
        self._model = model
        self._received_at = received_at

    def whole(self, outputs: list[Output]) -> bytes:
        final = Final() if self._only_memory else outputs[0].final
        return encode(
            {
                "model": self._model,
                "embeddings": [shortened(vector, self._body.dimensions) for vector in final.embeddings],
                "total_duration": nanoseconds((time.time() - self._received_at) * 1000),
                "load_duration": nanoseconds(final.load_ms),
                "prompt_eval_count": final.prompt_tokens,
            }
        )


class Vector(Renderer):
    """The answer of ``/api/embeddings``."""

    def whole(self, outputs: list[Output]) -> bytes:
        found = outputs[0].final.embeddings
        return encode({"embedding": found[0] if found else []})


def render_embed(asked: Asked, call: Call, model: str) -> Vectors:
    return Vectors(asked, model, call.received_at)


def render_embeddings(asked: Asked, call: Call, model: str) -> Vector:
    return Vector()

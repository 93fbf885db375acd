"""OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
import struct
from typing import Any, Literal

import msgspec

from ollamamax.contract import Inference
from ollamamax.gateway import http, relay
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.openai.requests import IGNORED as IGNORED_IN_CHAT
from ollamamax.gateway.openai.requests import between
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

MOST_INPUTS = 2048


class EmbeddingRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The input is a text or a list of texts; the engines' tokenizers differ, so that tokens are refused."""

    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None
    # Ignored.
    user: str | None = None


IGNORED = {"user": IGNORED_IN_CHAT["user"]}
decoder = msgspec.json.Decoder(EmbeddingRequest)


def to_inference(request: EmbeddingRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    between("dimensions", request.dimensions, 1, 1 << 20)
    return Inference(kind="embed", inputs=texts(request.input, "input"), dimensions=request.dimensions)


def texts(given: str | list[Any], name: str) -> list[str]:
    """One or more texts, none of them empty."""
    found = [given] if isinstance(given, str) else given
    if any(isinstance(each, int | list) for each in found):
        raise errors.Unsupported(f"'{name}' must be text here; tokens are not supported.", param=name)
    if not found or not all(isinstance(each, str) and each for each in found):
        raise errors.InvalidRequest(f"'{name}' must be a text or a list of texts, none of them empty.", param=name)
    if len(found) > MOST_INPUTS:
        raise errors.InvalidRequest(f"'{name}' may hold {MOST_INPUTS} texts at most.", param=name)
    return found


def base64_of(vector: list[float]) -> str:
    """The numbers as 32-bit floats, the first byte the lowest."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


async def embeddings(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(decoder, await service.body(scope, receive))
    async with service.execution(call, body.model, to_inference(body), receive) as execution:
        final = (await relay.gather(execution)).final
        as_text = body.encoding_format == "base64"
        answer = {
            "object": "list",
            "model": body.model,
            "data": [
                {"object": "embedding", "index": index, "embedding": base64_of(vector) if as_text else vector}
                for index, vector in enumerate(final.embeddings)
            ],
            "usage": {"prompt_tokens": final.prompt_tokens, "total_tokens": final.prompt_tokens},
        }
        await http.respond(send, 200, http.encode(answer), execution.headers(), shrinks=not as_text)

"""OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
import struct
from typing import Any, Literal

from ollamamax.contract import Inference
from ollamamax.contract.fields import Fields, RefusedField
from ollamamax.gateway.asked import Asked, Notes, Output, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.gateway.openai import others_words
from ollamamax.gateway.openai.noted import Named, note
from ollamamax.gateway.openai.requests import between, tokens
from ollamamax.kernel import errors

MOST_INPUTS = 2048


class EmbeddingRequest(Named, kw_only=True, forbid_unknown_fields=True):
    """The input is a text, a list of texts, or one or more lists of tokens of the model's own tokenizer."""

    model: str
    input: str | list[Any]
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None


FIELDS = Fields(
    EmbeddingRequest,
    {
        **{name: others_words.IGNORED[name] for name in ("provider", "priority", "extra_body")},
    },
    {
        "truncate_prompt_tokens": RefusedField("an input is taken whole or refused"),
        "truncate": RefusedField("an input is taken whole or refused", (False, "NONE")),
        "input_type": RefusedField("write the model's own instruction into the text"),
        "task": RefusedField("write the model's own instruction into the text"),
        "late_chunking": RefusedField("each input is embedded by itself", (False,)),
        "embedding_type": RefusedField("ask for an `encoding_format`", ("float",)),
    },
)


def to_inference(request: EmbeddingRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    between("dimensions", request.dimensions, 1, 1 << 20)
    texts, ids = inputs(request.input, "input")
    return Inference(kind="embed", inputs=texts, input_ids=ids, dimensions=request.dimensions)


def inputs(given: str | list[Any], name: str) -> tuple[list[str], list[list[int]]]:
    """One or more texts, or one or more lists of tokens, none of them empty."""
    found = [given] if isinstance(given, str) else given
    if found and all(type(each) is int or type(each) is float for each in found):
        found = [found]
    if not found or not all(isinstance(each, str | list) and each for each in found):
        raise errors.InvalidRequest(
            f"'{name}' must be a text, a list of texts or lists of tokens, none of them empty.", param=name
        )
    if len(found) > MOST_INPUTS:
        raise errors.InvalidRequest(f"'{name}' may hold {MOST_INPUTS} texts at most.", param=name)
    texts, ids = [each for each in found if isinstance(each, str)], [each for each in found if isinstance(each, list)]
    if texts and ids:
        raise errors.InvalidRequest(f"'{name}' holds texts or tokens, not both.", param=name)
    return texts, [tokens(name, each) for each in ids]


def base64_of(vector: list[float]) -> str:
    """The numbers as 32-bit floats, the first byte the lowest."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def parse(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = FIELDS.parse(body, notes.ignored, strict=notes.strict)
    note(notes, request.model, request)
    return Asked(model=request.model, inferences=[to_inference(request)], body=request)


class Embeddings(Renderer):
    def __init__(self, model: str, *, as_text: bool) -> None:
        self._model = model
        self._as_text = as_text
        self.shrinks = not as_text

    def whole(self, outputs: list[Output]) -> bytes:
        final = outputs[0].final
        answer = {
            "object": "list",
            "model": self._model,
            "data": [
                {"object": "embedding", "index": index, "embedding": base64_of(vector) if self._as_text else vector}
                for index, vector in enumerate(final.embeddings)
            ],
            "usage": {"prompt_tokens": final.prompt_tokens, "total_tokens": final.prompt_tokens},
        }
        return encode(answer)


def render(asked: Asked, call: Call, model: str) -> Embeddings:
    return Embeddings(model, as_text=asked.body.encoding_format == "base64")

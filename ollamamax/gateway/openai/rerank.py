"""``/v1/rerank`` as Jina, Cohere, vLLM and llama.cpp have it: how relevant each document is to a query."""

from __future__ import annotations

from typing import Any

from ollamamax.contract import Inference
from ollamamax.contract.fields import Fields, RefusedField
from ollamamax.gateway.asked import Asked, Notes, Output, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import encode
from ollamamax.gateway.openai import others_words
from ollamamax.gateway.openai.noted import Named, note
from ollamamax.kernel import errors

MOST_DOCUMENTS = 2048


class RerankRequest(Named, kw_only=True, forbid_unknown_fields=True):
    """A document is a text, or an object whose ``text`` it is."""

    model: str
    query: str
    documents: list[str | dict[str, Any]]
    top_n: int | None = None
    return_documents: bool | None = False


_WHOLE = RefusedField("the engine takes a document whole or refuses it")
FIELDS = Fields(
    RerankRequest,
    {"priority": others_words.IGNORED["priority"]},
    {
        "max_tokens_per_doc": _WHOLE,
        "max_chunks_per_doc": _WHOLE,
        "truncate_prompt_tokens": _WHOLE,
        "rank_fields": RefusedField("a document has one text"),
    },
)


def to_inference(request: RerankRequest) -> Inference:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    if not request.query:
        raise errors.InvalidRequest("'query' must not be empty.", param="query")
    if not 1 <= len(request.documents) <= MOST_DOCUMENTS:
        raise errors.InvalidRequest(f"'documents' must hold 1 to {MOST_DOCUMENTS} texts.", param="documents")
    if request.top_n is not None and request.top_n < 1:
        raise errors.InvalidRequest("'top_n' must be at least 1.", param="top_n")
    return Inference(kind="rerank", prompt=request.query, inputs=[_text(each) for each in request.documents])


def _text(document: str | dict[str, Any]) -> str:
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str) or not text or (isinstance(document, dict) and len(document) > 1):
        raise errors.InvalidRequest(
            "Each of 'documents' must be a text that is not empty, or an object with nothing but its 'text'.",
            param="documents",
        )
    return text


def parse(body: bytes, notes: Notes) -> Asked:
    """Raises `InvalidRequest` or `Unsupported`, naming the parameter."""
    request = FIELDS.parse(body, notes.ignored, strict=notes.strict)
    note(notes, request.model, request)
    return Asked(model=request.model, inferences=[to_inference(request)], body=request)


class Ranking(Renderer):
    def __init__(self, asked: Asked, request: str, model: str) -> None:
        self._body: RerankRequest = asked.body
        self._documents = asked.inferences[0].inputs
        self._request = request
        self._model = model

    def whole(self, outputs: list[Output]) -> bytes:
        """Raises `EngineFailed` when a score is missing."""
        final = outputs[0].final
        if len(final.scores) != len(self._documents):
            raise errors.EngineFailed("The engine did not score every document.")
        best = sorted(enumerate(final.scores), key=lambda each: -each[1])[: self._body.top_n]
        results: list[dict[str, Any]] = [{"index": index, "relevance_score": score} for index, score in best]
        if self._body.return_documents:
            for result in results:
                result["document"] = {"text": self._documents[result["index"]]}
        return encode(
            {
                "id": f"rerank-{self._request}",
                "object": "list",
                "model": self._model,
                "results": results,
                "usage": {"prompt_tokens": final.prompt_tokens, "total_tokens": final.prompt_tokens},
            }
        )


def render(asked: Asked, call: Call, model: str) -> Ranking:
    return Ranking(asked, call.id, model)

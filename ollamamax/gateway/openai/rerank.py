"""``/v1/rerank`` as Jina, Cohere, vLLM and llama.cpp have it: how relevant each document is to a query."""

from __future__ import annotations

from typing import Any

from ollamamax.contract import Inference
from ollamamax.gateway import http, relay
from ollamamax.gateway.execution import Call
from ollamamax.gateway.fields import Fields, Refused
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.openai import others_words
from ollamamax.gateway.openai.noted import Named, note
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

MOST_DOCUMENTS = 2048


class RerankRequest(Named, kw_only=True, forbid_unknown_fields=True):
    """A document is a text, or an object whose ``text`` it is."""

    model: str
    query: str
    documents: list[str | dict[str, Any]]
    top_n: int | None = None
    return_documents: bool | None = False


_WHOLE = Refused("the engine takes a document whole or refuses it")
FIELDS = Fields(
    RerankRequest,
    {"priority": others_words.IGNORED["priority"]},
    {
        "max_tokens_per_doc": _WHOLE,
        "max_chunks_per_doc": _WHOLE,
        "truncate_prompt_tokens": _WHOLE,
        "rank_fields": Refused("a document has one text"),
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


async def rerank(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = await service.parsed(FIELDS, call, scope, receive)
    note(call, body)
    inference = to_inference(body)
    async with service.execution(call, body.model, inference, receive) as execution:
        final = (await relay.gather(execution)).final
        if len(final.scores) != len(inference.inputs):
            raise errors.EngineFailed("The engine did not score every document.")
        best = sorted(enumerate(final.scores), key=lambda each: -each[1])[: body.top_n]
        results: list[dict[str, Any]] = [{"index": index, "relevance_score": score} for index, score in best]
        if body.return_documents:
            for result in results:
                result["document"] = {"text": inference.inputs[result["index"]]}
        answer = {
            "id": f"rerank-{call.id}",
            "object": "list",
            "model": body.model,
            "results": results,
            "usage": {"prompt_tokens": final.prompt_tokens, "total_tokens": final.prompt_tokens},
        }
        await http.respond(send, 200, http.encode(answer), execution.headers())

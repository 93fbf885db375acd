"""One streamed request to an OpenAI-compatible server, shared by the engines that speak that API."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import msgspec

from cluster.engines import http, openai_wire
from cluster.engines.base import Output, PromptCount, unsupported
from cluster.engines.openai_chunks import OpenAIChunks
from cluster.engines.poster import Poster
from ollamamax import contract
from ollamamax.kernel.errors import InvalidRequest, NotObeyed, OllamaMaxError

_decode = msgspec.json.Decoder(dict).decode


async def stream(
    poster: Poster,
    engine: str,
    url: str,
    model: str,
    inference: contract.Inference,
    dialect: openai_wire.Dialect,
    headers: dict[str, str],
    meter: PromptCount | None = None,
    load_ms: float = 0.0,
    extra: dict[str, Any] | None = None,
) -> AsyncGenerator[Output, None]:
    """Run a chat or a completion; leaving the iterator closes the connection, which stops the server's work.

    What the server sent in one piece is one delta. ``extra`` are fields of the request that only this server knows.
    """
    start = time.perf_counter()
    inference = _as_streamed(inference, dialect)
    request = openai_wire.body(engine, inference, model, dialect) | (extra or {})
    path = "/v1/chat/completions" if inference.kind == "chat" else "/v1/completions"
    chunks = OpenAIChunks(engine, inference)
    async with http.failures_of(engine), poster.post(url + path, msgspec.json.encode(request), headers) as response:
        if response.status >= 300:
            raise await http.refuse(engine, response, model)
        if inference.delivery == "once":
            if (delta := chunks.delta(await response.read())) is not None:
                yield delta
        else:
            async for found in http.server_sent(response.part):
                deltas = [delta for data in found if (delta := chunks.delta(data)) is not None]
                if meter is not None and not meter.prompt_tokens:
                    meter.prompt_tokens = chunks.prompt_tokens()
                if deltas:
                    yield contract.joined(deltas)
    final = chunks.final(load_ms=load_ms, total_ms=load_ms + (time.perf_counter() - start) * 1000)
    if calls := obeyed(engine, inference, chunks.calls.whole(), final):
        yield contract.Delta(tool_calls=calls)
    yield final


def _as_streamed(inference: contract.Inference, dialect: openai_wire.Dialect) -> contract.Inference:
    """llama.cpp repeats the beginning of an answer that it sends in one piece, and may fail to take one apart that was cut off."""
    parsed = inference.tools or inference.format is not None or inference.think or openai_wire.is_begun(inference)
    if inference.delivery == "once" and dialect is openai_wire.LLAMACPP and parsed:
        return msgspec.structs.replace(inference, delivery="whole")
    return inference


def obeyed(
    engine: str, inference: contract.Inference, calls: list[dict[str, Any]], final: contract.Final
) -> list[dict[str, Any]]:
    """The calls, if they are what ``tool_choice`` and ``parallel_tool_calls`` let the model do. Raises `NotObeyed`."""
    if inference.parallel_tool_calls is False:
        calls = calls[:1]
    choice = inference.tool_choice
    if inference.kind != "chat" or choice in (None, "auto"):
        return calls
    if choice == "none":
        if calls:
            raise NotObeyed(
                f"The {engine} engine let the model call a tool, and 'tool_choice' is 'none'.", param="tool_choice"
            )
        return calls
    named = choice.get("function", {}).get("name") if isinstance(choice, dict) else None
    if named is not None and any(call["function"]["name"] != named for call in calls):
        raise NotObeyed(f"The {engine} engine let the model call another tool than '{named}'.", param="tool_choice")
    if not calls and final.finish_reason != "length":
        raise NotObeyed(
            f"The {engine} engine let the model answer without the call that 'tool_choice' demands.",
            param="tool_choice",
        )
    return calls


async def embed(
    client: aiohttp.ClientSession,
    engine: str,
    url: str,
    model: str,
    inference: contract.Inference,
    headers: dict[str, str],
    extra: dict[str, Any] | None = None,
) -> contract.Final:
    """Embed the inputs, whole. Raises `ContextTooLong` when one does not fit. ``extra`` as in `stream`."""
    start = time.perf_counter()
    inputs = inference.input_ids or inference.inputs
    request: dict[str, Any] = {"model": model, "input": inputs, "encoding_format": "float", **(extra or {})}
    if inference.dimensions is not None:
        request["dimensions"] = inference.dimensions
    async with http.failures_of(engine), http.post(client, f"{url}/v1/embeddings", request, headers) as response:
        if response.status >= 300:
            raise await http.refuse(engine, response, model)
        answer = _decode(await response.read())
        total_ms = (time.perf_counter() - start) * 1000
        return openai_wire.embeddings(engine, answer, len(inputs), inference.dimensions, total_ms=total_ms)


async def rerank(
    client: aiohttp.ClientSession,
    engine: str,
    url: str,
    model: str,
    inference: contract.Inference,
    headers: dict[str, str],
) -> contract.Final:
    """Score the documents. The server sorts them and, unless told otherwise, may leave some out."""
    start = time.perf_counter()
    documents = inference.inputs
    request = {"model": model, "query": inference.prompt, "documents": documents, "top_n": len(documents)}
    async with http.failures_of(engine), http.post(client, f"{url}/v1/rerank", request, headers) as response:
        if response.status in {404, 405, 501}:
            raise unsupported(
                engine, "rerank", http.message_of(await response.read()) or "its server has no /v1/rerank"
            )
        if response.status >= 300:
            raise _too_long(await http.refuse(engine, response, model))
        answer = _decode(await response.read())
        return openai_wire.scores(engine, answer, len(documents), total_ms=(time.perf_counter() - start) * 1000)


def _too_long(error: OllamaMaxError) -> OllamaMaxError:
    """llama.cpp answers 500 to a document that does not fit: no other node would fare better."""
    return InvalidRequest(error.message, param="documents") if "too large to process" in error.message else error

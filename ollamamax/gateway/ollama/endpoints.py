"""Ollama's endpoints that generate, load and unload, and the lists of what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from ollamamax.contract import Inference, as_ollama
from ollamamax.contract.ignored import Ignored
from ollamamax.gateway import catalog, http, relay
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama import memory, requests, responses
from ollamamax.gateway.service import Service

API_VERSION = "0.12.11"
"""The version of Ollama whose API document this follows; clients compare it to know what they may use."""

_Asked = TypeVar("_Asked", requests.ChatRequest, requests.GenerateRequest)


async def chat(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(service, call, scope, receive, send, "chat", requests.chat_decoder, requests.chat_inference)


async def generate(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(
        service, call, scope, receive, send, "generate", requests.generate_decoder, requests.generate_inference
    )


async def _answer(
    service: Service,
    call: Call,
    scope: Scope,
    receive: Receive,
    send: Send,
    form: responses.Form,
    decoder: msgspec.json.Decoder[_Asked],
    to_inference: Callable[[_Asked, Ignored], Inference],
) -> None:
    body = as_ollama.read(decoder, await service.body(scope, receive), call.ignored.add)
    as_ollama.named(body.model)
    inference = to_inference(body, call.ignored)
    if requests.only_memory(inference):
        change = memory.unload if inference.keep_alive == 0 else memory.load
        headers = await change(service, call, body.model, inference, receive)
        reason = responses.memory(form, body.model, "unload" if inference.keep_alive == 0 else "load")
        await http.respond(send, 200, reason, headers)
        return
    opening = relay.Opening(send, responses.NDJSON, call.headers(), relay.space)
    whole = body.stream is False
    tell = None if whole else opening.tell
    async with service.execution(call, body.model, inference, receive, tell=tell, whole=whole) as execution:
        if whole:
            answer = responses.whole(form, body.model, call.received_at, await relay.gather(execution))
            await http.respond(send, 200, answer, execution.headers())
            return
        lines = responses.Lines(form, body.model, call.received_at)
        await relay.stream(execution, opening, first=bytes, delta=lines.delta, last=lines.last)


async def tags(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    listed = catalog.names(service.directory, call.principal)
    await http.respond(send, 200, responses.tags(listed), call.headers())


async def version(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    await http.respond(send, 200, http.encode({"version": API_VERSION}), call.headers())

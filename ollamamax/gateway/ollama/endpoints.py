"""Ollama's endpoints: chat, generate, tags, version, and the greeting at the root."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from cluster.wire import Inference
from ollamamax.gateway import catalog, http
from ollamamax.gateway.execution import Call, collect
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama import requests, responses
from ollamamax.gateway.service import Service

API_VERSION = "0.12.6"
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
    to_inference: Callable[[_Asked], Inference],
) -> None:
    body = http.decode(decoder, await service.body(scope, receive))
    inference = to_inference(body)
    async with service.execution(call, body.model, inference, receive) as execution:
        if body.stream is False:
            text, thinking, tool_calls = await collect(execution)
            assert execution.final is not None  # noqa: S101 - collect returned
            now = time.time()
            total_ms = (now - call.received_at) * 1000
            answer = responses.last(form, body.model, now, execution.final, total_ms, text, thinking, tool_calls)
            await http.respond(send, 200, answer, execution.headers())
            return
        # Nothing is sent before the first event, so that a failure until then has its true status.
        delta = await execution.next()
        await http.begin(send, responses.NDJSON, execution.headers())
        part = b""
        while delta is not None:
            part += responses.delta_line(form, body.model, time.time(), delta)
            if not execution.has_more:
                await http.write(send, part)
                part = b""
            delta = await execution.next()
        assert execution.final is not None  # noqa: S101 - next returned None
        now = time.time()
        line = responses.last(form, body.model, now, execution.final, (now - call.received_at) * 1000)
        await http.finish(send, part + line + b"\n")


async def tags(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    listed = catalog.names(service.directory, call.principal.tenant or "")
    await http.respond(send, 200, responses.tags(listed), call.headers())


async def version(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    await http.respond(send, 200, http.encode({"version": API_VERSION}), call.headers())

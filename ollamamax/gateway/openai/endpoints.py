"""OpenAI's endpoints for chats and models."""

from __future__ import annotations

from ollamamax.gateway import catalog, http, relay
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.openai import requests, responses
from ollamamax.gateway.service import Service


async def chat_completions(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(requests.decoder, await service.body(scope, receive))
    inference = requests.to_inference(body)
    created = int(call.received_at)
    async with service.execution(call, body.model, inference, receive) as execution:
        if not body.stream:
            answer = responses.completion(call.id, body.model, created, await relay.gather(execution))
            await http.respond(send, 200, answer, execution.headers())
            return
        include_usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = responses.Chunks(call.id, body.model, created, include_usage=include_usage)
        await relay.stream(
            execution, send, responses.EVENT_STREAM, first=chunks.first, delta=chunks.delta, last=chunks.last
        )


async def models(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    listed = catalog.names(service.directory, call.principal.tenant or "")
    await http.respond(send, 200, responses.model_list(listed), call.headers())


async def model(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path"].removeprefix("/v1/models/")
    listed = catalog.resolve(service.directory, call.principal.tenant or "", name)
    await http.respond(send, 200, responses.model(name, listed), call.headers())

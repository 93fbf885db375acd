"""OpenAI's endpoints for chats and models."""

from __future__ import annotations

import contextlib

from ollamamax.contract import Final, Inference
from ollamamax.gateway import catalog, http, relay, request_headers
from ollamamax.gateway.choices import Choices, several
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.openai import requests, responses
from ollamamax.gateway.openai.noted import note
from ollamamax.gateway.service import Service


async def chat_completions(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = await service.parsed(requests.FIELDS, call, scope, receive)
    note(call, body)
    inference = requests.to_inference(body, call.ignored)
    request_headers.take_tier(call, body.service_tier)
    created = int(call.received_at)
    if body.n is not None and body.n > 1:
        await _several(service, call, body, inference, receive, send)
        return
    opening = relay.Opening(send, responses.EVENT_STREAM, call.headers(), relay.comment)
    tell = opening.tell if body.stream else None
    async with service.execution(call, body.model, inference, receive, tell=tell, whole=not body.stream) as execution:
        if not body.stream:
            answer = responses.completion(call.id, body.model, created, [await relay.gather(execution)])
            await http.respond(send, 200, answer, execution.headers())
            return
        chunks = responses.Chunks(call.id, body.model, created, include_usage=_usage_too(body))
        await relay.stream(execution, opening, first=chunks.first, delta=chunks.delta, last=chunks.last)


def _usage_too(body: requests.ChatCompletionRequest) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)


async def _several(
    service: Service,
    call: Call,
    body: requests.ChatCompletionRequest,
    inference: Inference,
    receive: Receive,
    send: Send,
) -> None:
    created = int(call.received_at)
    opening = relay.Opening(send, responses.EVENT_STREAM, call.headers(), relay.comment)
    tell = opening.tell if body.stream else None
    async with Choices(service, call, body.model, several(inference, body.n or 1), receive, tell) as choices:
        if not body.stream:
            answer = responses.completion(call.id, body.model, created, await choices.gather())
            await http.respond(send, 200, answer, choices.executions[0].headers())
            return
        rendered = [
            responses.Chunks(call.id, body.model, created, include_usage=_usage_too(body), index=index)
            for index in range(len(choices.executions))
        ]
        finals: list[Final] = []
        begun = False
        async with opening.alive(list), contextlib.aclosing(choices.merged()) as events:
            async for index, event in events:
                part = b""
                if not begun:
                    # As with one answer: a failure until now has its true status.
                    await opening.begin(choices.executions[index].own_headers())
                    part = b"".join(chunks.first() for chunks in rendered)
                    begun = True
                if isinstance(event, Final):
                    finals.append(event)
                    part += rendered[index].end(event)
                else:
                    part += rendered[index].delta(event)
                if part:
                    await opening.write(part)
            await opening.finish(rendered[0].done(finals))


async def models(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    listed = catalog.names(service.directory, call.principal)
    await http.respond(send, 200, responses.model_list(listed), call.headers())


async def model(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path"].removeprefix("/v1/models/")
    listed = catalog.resolve(service.directory, call.principal, name)
    await http.respond(send, 200, responses.model(name, listed), call.headers())

"""Anthropic's endpoints: messages, and the count of a message's tokens before it is sent."""

from __future__ import annotations

from ollamamax.gateway import http, relay
from ollamamax.gateway.anthropic import requests, responses
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.service import Service


async def messages(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(requests.decoder, await service.body(scope, receive))
    inference = requests.to_inference(body)
    headers = [(b"request-id", call.id.encode())]
    opening = relay.Opening(send, responses.EVENT_STREAM, headers + call.headers(), responses.ping)
    tell = opening.tell if body.stream else None
    async with service.execution(call, body.model, inference, receive, tell=tell, whole=not body.stream) as execution:
        if not body.stream:
            answer = responses.message(call.id, body.model, await relay.gather(execution))
            await http.respond(send, 200, answer, headers + execution.headers())
            return
        events = responses.Events(call.id, body.model)
        await relay.stream(execution, opening, first=events.first, delta=events.delta, last=events.last)


async def count_tokens(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(requests.count_decoder, await service.body(scope, receive))
    inference = requests.count_inference(body)
    async with service.execution(call, body.model, inference, receive) as execution:
        final = (await relay.gather(execution)).final
        await http.respond(send, 200, http.encode({"input_tokens": final.counted}), execution.headers())

"""Anthropic's endpoints: messages, the count of a message's tokens before it is sent, and models."""

from __future__ import annotations

from urllib.parse import parse_qsl

from ollamamax.gateway import catalog, http, relay
from ollamamax.gateway.anthropic import requests, responses
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

MOST_MODELS = 1000


async def messages(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = await service.parsed(requests.FIELDS, call, scope, receive)
    if call.ending is not None and body.metadata is not None:
        call.ending.notes(body.metadata.user_id, None)
    inference = requests.to_inference(body, call.ignored)
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
    body = await service.parsed(requests.COUNT_FIELDS, call, scope, receive)
    inference = requests.count_inference(body, call.ignored)
    async with service.execution(call, body.model, inference, receive) as execution:
        final = (await relay.gather(execution)).final
        await http.respond(send, 200, http.encode({"input_tokens": final.counted}), execution.headers())


async def models(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """A page of the list: ``limit`` (1000 at most), ``after_id``, ``before_id``."""
    asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    limit = asked.get("limit", "20")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:6]) <= MOST_MODELS):
        raise errors.InvalidRequest(f"'limit' must be between 1 and {MOST_MODELS}.", param="limit")
    listed = list(catalog.names(service.directory, call.principal))
    page = responses.model_page(listed, int(limit), asked.get("after_id"), asked.get("before_id"))
    await http.respond(send, 200, page, [(b"request-id", call.id.encode()), *call.headers()])


async def model(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path"].removeprefix("/v1/models/")
    listed = catalog.resolve(service.directory, call.principal, name)
    answer = http.encode(responses.model(name, listed))
    await http.respond(send, 200, answer, [(b"request-id", call.id.encode()), *call.headers()])


def is_meant(scope: Scope) -> bool:
    """Whether a request for models is in Anthropic's protocol: its programs say its version, and may send the key apart."""
    return http.header(scope, b"anthropic-version") is not None or (
        http.header(scope, b"x-api-key") is not None and http.header(scope, b"authorization") is None
    )

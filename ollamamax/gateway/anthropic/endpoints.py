"""Anthropic's list of models, and one of them."""

from __future__ import annotations

from urllib.parse import parse_qsl

from ollamamax.gateway import catalog, http
from ollamamax.gateway.anthropic import responses
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

MOST_MODELS = 1000


async def models(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """A page of the list: ``limit`` (1000 at most), ``after_id``, ``before_id``."""
    asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    limit = asked.get("limit", "20")
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit[:6]) <= MOST_MODELS):
        raise errors.InvalidRequest(f"'limit' must be between 1 and {MOST_MODELS}.", param="limit")
    listed = list(catalog.names(service.directory, call.principal))
    page = responses.model_page(listed, int(limit), asked.get("after_id"), asked.get("before_id"))
    await http.respond(send, 200, page, responses.request_id(call.id) + call.headers())


async def model(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path"].removeprefix("/v1/models/")
    listed = catalog.resolve(service.directory, call.principal, name)
    answer = http.encode(responses.model(name, listed))
    await http.respond(send, 200, answer, responses.request_id(call.id) + call.headers())


def is_meant(scope: Scope) -> bool:
    """Whether a request for models is in Anthropic's protocol: its programs say its version, and may send the key apart."""
    return http.header(scope, b"anthropic-version") is not None or (
        http.header(scope, b"x-api-key") is not None and http.header(scope, b"authorization") is None
    )

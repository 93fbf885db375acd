"""OpenAI's list of models, and one of them."""

from __future__ import annotations

from ollamamax.gateway import catalog, http
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.openai import responses
from ollamamax.gateway.service import Service


async def models(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    listed = catalog.names(service.directory, call.principal)
    await http.respond(send, 200, responses.model_list(listed), call.headers())


async def model(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path"].removeprefix("/v1/models/")
    listed = catalog.resolve(service.directory, call.principal, name)
    await http.respond(send, 200, responses.model(name, listed), call.headers())

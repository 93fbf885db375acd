"""Ollama's list of models, and its version."""

from __future__ import annotations

from ollamamax.gateway import catalog, http
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama import responses
from ollamamax.gateway.service import Service

API_VERSION = "0.12.11"
"""The version of Ollama whose API document this follows; clients compare it to know what they may use."""


async def tags(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    listed = catalog.names(service.directory, call.principal)
    await http.respond(send, 200, responses.tags(listed), call.headers())


async def version(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    await http.respond(send, 200, http.encode({"version": API_VERSION}), call.headers())

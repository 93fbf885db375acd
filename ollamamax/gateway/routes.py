"""The routes of the inference APIs: which endpoint answers at which path, in which protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ollamamax.gateway import http, paths
from ollamamax.gateway.anthropic import endpoints as anthropic
from ollamamax.gateway.anthropic import responses as anthropic_responses
from ollamamax.gateway.execution import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama import embed, memory
from ollamamax.gateway.ollama import endpoints as ollama
from ollamamax.gateway.ollama import responses as ollama_responses
from ollamamax.gateway.ollama.show import show
from ollamamax.gateway.openai import endpoints as openai
from ollamamax.gateway.openai import response
from ollamamax.gateway.openai import responses as openai_responses
from ollamamax.gateway.openai.completions import completions
from ollamamax.gateway.openai.embeddings import embeddings
from ollamamax.gateway.openai.rerank import rerank
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

Endpoint = Callable[[Service, Call, Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Protocol:
    """How a protocol says that something went wrong, before and after its stream began."""

    error_body: Callable[[errors.OllamaMaxError], bytes]
    error_event: Callable[[errors.OllamaMaxError], bytes]
    key_header: bytes | None = None
    """A header that may hold the key, for clients that send no ``Authorization``."""


ANTHROPIC = Protocol(anthropic_responses.error_body, anthropic_responses.error_event, b"x-api-key")
OPENAI = Protocol(openai_responses.error_body, openai_responses.error_event)
RESPONSES = Protocol(openai_responses.error_body, response.error_event)
OLLAMA = Protocol(ollama_responses.error_body, ollama_responses.error_event)


@dataclass(frozen=True)
class Route:
    """Every route needs an API key that has ``permission``: one of `ROUTES` on the model that is named, any other in its tenant."""

    method: str
    endpoint: Endpoint
    protocol: Protocol
    permission: str = "inference.use"


MoreRoutes = Callable[[str, str], Route | None]
"""Method and path to a route of another context; its own method may differ, and is then told to the client."""

ROUTES: dict[str, Route] = {
    "/v1/chat/completions": Route("POST", openai.chat_completions, OPENAI),
    "/v1/responses": Route("POST", response.responses, RESPONSES),
    "/v1/responses/input_tokens": Route("POST", response.input_tokens, OPENAI),
    "/v1/messages": Route("POST", anthropic.messages, ANTHROPIC),
    "/v1/messages/count_tokens": Route("POST", anthropic.count_tokens, ANTHROPIC),
    "/v1/completions": Route("POST", completions, OPENAI),
    "/v1/embeddings": Route("POST", embeddings, OPENAI),
    "/v1/rerank": Route("POST", rerank, OPENAI),
    "/v1/models": Route("GET", openai.models, OPENAI),
    "/v1/models/{model}": Route("GET", openai.model, OPENAI),
    "/api/chat": Route("POST", ollama.chat, OLLAMA),
    "/api/generate": Route("POST", ollama.generate, OLLAMA),
    "/api/embed": Route("POST", embed.embed, OLLAMA),
    "/api/embeddings": Route("POST", embed.embeddings, OLLAMA),
    "/api/ps": Route("GET", memory.ps, OLLAMA),
    "/api/show": Route("POST", show, OLLAMA),
    "/api/tags": Route("GET", ollama.tags, OLLAMA),
    "/api/version": Route("GET", ollama.version, OLLAMA),
}

ANTHROPICS: dict[str, Route] = {
    "/v1/models": Route("GET", anthropic.models, ANTHROPIC),
    "/v1/models/{model}": Route("GET", anthropic.model, ANTHROPIC),
}
"""Paths that two protocols have, for programs of Anthropic's."""


def find_route(path: str, scope: Scope | None = None) -> Route | None:
    """Of the gateway's own; one model's address ends in its name."""
    if path.startswith("/v1/models"):
        known = ANTHROPICS if scope is not None and anthropic.is_meant(scope) else ROUTES
        return known.get(path) or (known["/v1/models/{model}"] if path.startswith("/v1/models/") else None)
    return ROUTES.get(path)


def protocol_of(path: str) -> Protocol:
    """In whose form it is told that there is no such path."""
    meant = paths.suggested(path, ROUTES)
    if meant is not None:
        return ROUTES[meant].protocol
    return OLLAMA if path.startswith("/api") else OPENAI


def authorization(scope: Scope, protocol: Protocol) -> str | None:
    """Where its clients put their key."""
    given = http.header(scope, b"authorization")
    if given is None and protocol.key_header and (key := http.header(scope, protocol.key_header)):
        return f"Bearer {key}"
    return given

"""The routes of the inference APIs: which endpoint answers at which path, in which protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ollamamax.gateway import http, paths
from ollamamax.gateway.anthropic import endpoints as anthropic
from ollamamax.gateway.anthropic import requests as messages
from ollamamax.gateway.anthropic import responses as anthropic_responses
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.ollama import embed, memory
from ollamamax.gateway.ollama import endpoints as ollama
from ollamamax.gateway.ollama import requests as ollama_requests
from ollamamax.gateway.ollama import responses as ollama_responses
from ollamamax.gateway.ollama.show import show
from ollamamax.gateway.openai import answer_response, completions, embeddings, rerank, response, response_request
from ollamamax.gateway.openai import endpoints as openai
from ollamamax.gateway.openai import requests as chat
from ollamamax.gateway.openai import responses as openai_responses
from ollamamax.gateway.run import Exchange
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
class GatewayRoute:
    """Every route needs an API key that has ``permission``: one of `ROUTES` on the model that is named, any other in its tenant."""

    method: str
    endpoint: Endpoint | Exchange
    protocol: Protocol
    permission: str = "inference.use"


MoreRoutes = Callable[[str, str], GatewayRoute | None]
"""Method and path to a route of another context; its own method may differ, and is then told to the client."""

_CHAT = Exchange(chat.parse, openai_responses.render)
_MESSAGES = Exchange(messages.parse, anthropic_responses.render)
_COUNT_TOKENS = Exchange(messages.parse_count, anthropic_responses.render_count)
_RESPONSES = Exchange(response_request.parse, answer_response.render, answer_response.answer)
_INPUT_TOKENS = Exchange(response_request.parse_count, answer_response.render_count, answer_response.answer_count)
_OLLAMA_CHAT = Exchange(ollama_requests.parse_chat, ollama_responses.render_chat, memory.answer)
_GENERATE = Exchange(ollama_requests.parse_generate, ollama_responses.render_generate, memory.answer)
_EMBED = Exchange(embed.parse_embed, embed.render_embed, memory.answer)
_OLLAMA_EMBEDDINGS = Exchange(embed.parse_embeddings, embed.render_embeddings, memory.answer)

ROUTES: dict[str, GatewayRoute] = {
    "/v1/chat/completions": GatewayRoute("POST", _CHAT, OPENAI),
    "/v1/responses": GatewayRoute("POST", _RESPONSES, RESPONSES),
    "/v1/responses/input_tokens": GatewayRoute("POST", _INPUT_TOKENS, OPENAI),
    "/v1/messages": GatewayRoute("POST", _MESSAGES, ANTHROPIC),
    "/v1/messages/count_tokens": GatewayRoute("POST", _COUNT_TOKENS, ANTHROPIC),
    "/v1/completions": GatewayRoute("POST", Exchange(completions.parse, completions.render), OPENAI),
    "/v1/embeddings": GatewayRoute("POST", Exchange(embeddings.parse, embeddings.render), OPENAI),
    "/v1/rerank": GatewayRoute("POST", Exchange(rerank.parse, rerank.render), OPENAI),
    "/v1/models": GatewayRoute("GET", openai.models, OPENAI),
    "/v1/models/{model}": GatewayRoute("GET", openai.model, OPENAI),
    "/api/chat": GatewayRoute("POST", _OLLAMA_CHAT, OLLAMA),
    "/api/generate": GatewayRoute("POST", _GENERATE, OLLAMA),
    "/api/embed": GatewayRoute("POST", _EMBED, OLLAMA),
    "/api/embeddings": GatewayRoute("POST", _OLLAMA_EMBEDDINGS, OLLAMA),
    "/api/ps": GatewayRoute("GET", memory.ps, OLLAMA),
    "/api/show": GatewayRoute("POST", show, OLLAMA),
    "/api/tags": GatewayRoute("GET", ollama.tags, OLLAMA),
    "/api/version": GatewayRoute("GET", ollama.version, OLLAMA),
}

ANTHROPICS: dict[str, GatewayRoute] = {
    "/v1/models": GatewayRoute("GET", anthropic.models, ANTHROPIC),
    "/v1/models/{model}": GatewayRoute("GET", anthropic.model, ANTHROPIC),
}
"""Paths that two protocols have, for programs of Anthropic's."""


def find_route(path: str, scope: Scope | None = None) -> GatewayRoute | None:
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

"""The routes of responses that are kept and of conversations, for the gateway."""

from __future__ import annotations

import re

from ollamamax.gateway.routes import OPENAI, GatewayRoute
from ollamamax.responses.protocol import conversations, responses

_ID = re.compile(r"^(/v1/(?:responses|conversations)/)(?!input_tokens$)[^/]+")
_ITEM = re.compile(r"^(/v1/conversations/\{id\}/items/)[^/]+$")
TABLE = {
    "/v1/responses/{id}": {
        "GET": GatewayRoute("GET", responses.one, OPENAI),
        "DELETE": GatewayRoute("DELETE", responses.delete, OPENAI),
    },
    "/v1/responses/{id}/cancel": {"POST": GatewayRoute("POST", responses.cancel, OPENAI)},
    "/v1/responses/{id}/input_items": {"GET": GatewayRoute("GET", responses.listed_input, OPENAI)},
    "/v1/conversations": {"POST": GatewayRoute("POST", conversations.create, OPENAI)},
    "/v1/conversations/{id}": {
        "GET": GatewayRoute("GET", conversations.one, OPENAI),
        "POST": GatewayRoute("POST", conversations.change, OPENAI),
        "DELETE": GatewayRoute("DELETE", conversations.delete, OPENAI),
    },
    "/v1/conversations/{id}/items": {
        "GET": GatewayRoute("GET", conversations.items, OPENAI),
        "POST": GatewayRoute("POST", conversations.add, OPENAI),
    },
    "/v1/conversations/{id}/items/{item}": {
        "GET": GatewayRoute("GET", conversations.item, OPENAI),
        "DELETE": GatewayRoute("DELETE", conversations.delete_one, OPENAI),
    },
}


def routes(method: str, path: str) -> GatewayRoute | None:
    """The route of a method and a path, or the path's only other one, so that the method can be refused."""
    methods = TABLE.get(_ITEM.sub(r"\1{item}", _ID.sub(r"\1{id}", path)))
    if methods is None:
        return None
    return methods.get(method) or next(iter(methods.values()))

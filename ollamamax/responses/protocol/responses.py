"""``/v1/responses/{id}`` and what is below it (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from ollamamax.batches.protocol.parameters import choice, limit, text
from ollamamax.bus.database import in_database
from ollamamax.gateway import http
from ollamamax.gateway.call import Call
from ollamamax.gateway.http import Receive, Scope, Send
from ollamamax.gateway.service import Service
from ollamamax.kernel.errors import NotFound, Unsupported
from ollamamax.responses.actions.response import cancel_response, delete_response
from ollamamax.responses.names import RESPONSE, id_of, response_name
from ollamamax.responses.queries.response import get_response, input_items, response_object


async def one(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    if choice(scope, "stream", "false", "true", "false") == "true":
        raise Unsupported("The events of a kept response are not kept; ask without 'stream'.", param="stream")
    shown = await in_database(_shown, call.principal.tenant or "", _id(scope))
    await http.respond(send, 200, http.encode(shown), call.headers())


async def delete(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    key = _id(scope)
    await in_database(delete_response, acting=_acting(call), response_id=key)
    answer = {"id": response_name(key or uuid.UUID(int=0)), "object": "response", "deleted": True}
    await http.respond(send, 200, http.encode(answer), call.headers())


async def cancel(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    acting, key = _acting(call), _id(scope)
    shown = await in_database(lambda: response_object(cancel_response(acting=acting, response_id=key)))
    await http.respond(send, 200, http.encode(shown), call.headers())


async def listed_input(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    tenant, key = call.principal.tenant or "", _id(scope)
    items = await in_database(lambda: input_items(get_response(tenant, key)))
    if choice(scope, "order", "desc", "asc", "desc") == "desc":
        items = items[::-1]
    after = text(scope, "after")
    if after is not None:
        names = [item["id"] for item in items]
        if after not in names:
            raise NotFound("The response has no item of that id.", param="after")
        items = items[names.index(after) + 1 :]
    most = limit(scope, default=20, most=100)
    await http.respond(send, 200, page(items[:most], has_more=len(items) > most), call.headers())


def page(items: list[dict[str, Any]], *, has_more: bool) -> bytes:
    return http.encode(
        {
            "object": "list",
            "data": items,
            "first_id": items[0]["id"] if items else None,
            "last_id": items[-1]["id"] if items else None,
            "has_more": has_more,
        }
    )


def _shown(tenant: str, key: uuid.UUID | None) -> dict[str, Any]:
    return response_object(get_response(tenant, key))


def _acting(call: Call) -> Any:
    return msgspec.structs.replace(call.principal, request=call.id)


def _id(scope: Scope) -> uuid.UUID | None:
    return id_of(scope["path"].removeprefix("/v1/responses/").partition("/")[0], RESPONSE)

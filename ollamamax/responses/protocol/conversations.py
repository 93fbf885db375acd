"""OpenAI's ``/v1/conversations`` (https://platform.openai.com/docs/api-reference/conversations)."""

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
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.responses.actions.conversation import (
    add_items,
    change_conversation,
    create_conversation,
    delete_conversation,
    delete_item,
)
from ollamamax.responses.items import listed
from ollamamax.responses.models import Conversation
from ollamamax.responses.names import CONVERSATION, id_of
from ollamamax.responses.protocol.keeper import metadata_of
from ollamamax.responses.protocol.responses import page
from ollamamax.responses.queries.conversation import get_conversation, get_item, page_of_items

MOST_ITEMS = 20
"""Items that one call may add, as OpenAI has it."""


class ConversationRequest(msgspec.Struct):
    items: list[Any] | None = None
    metadata: Any = None


class ItemsRequest(msgspec.Struct):
    items: list[Any]


_decoder = msgspec.json.Decoder(ConversationRequest)
_items_decoder = msgspec.json.Decoder(ItemsRequest)


async def create(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    raw = await service.body(scope, receive) or b"{}"
    body = http.decode(_decoder, raw)
    await _take_room(service, call, raw)
    made = await in_database(
        create_conversation, acting=_acting(call), items=_few(body.items or []), metadata=metadata_of(body.metadata)
    )
    await _answer(send, call, _object(made))


async def _take_room(service: Service, call: Call, raw: bytes) -> None:
    """Raises `TooLarge` when the tenant keeps as much as it may."""
    if service.keeping is not None:
        await service.keeping.take_room(call.principal.tenant or "", len(raw))


async def one(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    await _answer(send, call, _object(await in_database(get_conversation, call.principal.tenant or "", _id(scope))))


async def change(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    body = http.decode(_decoder, await service.body(scope, receive))
    metadata, acting, key = metadata_of(body.metadata), _acting(call), _id(scope)
    changed = await in_database(change_conversation, acting=acting, conversation_id=key, metadata=metadata)
    await _answer(send, call, _object(changed))


async def delete(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    key = _id(scope)
    await in_database(delete_conversation, acting=_acting(call), conversation_id=key)
    answer = {"id": _segments(scope)[0], "object": "conversation.deleted", "deleted": True}
    await _answer(send, call, answer)


async def add(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    raw = await service.body(scope, receive)
    body = http.decode(_items_decoder, raw)
    await _take_room(service, call, raw)
    items, acting, key = _few(body.items), _acting(call), _id(scope)
    added = await in_database(add_items, acting=acting, conversation_id=key, items=items)
    await http.respond(send, 200, page(added, has_more=False), call.headers())


async def items(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    found, has_more = await in_database(
        page_of_items,
        call.principal.tenant or "",
        _id(scope),
        after=text(scope, "after"),
        limit=limit(scope, default=20, most=100),
        newest_first=choice(scope, "order", "desc", "asc", "desc") == "desc",
    )
    await http.respond(send, 200, page(found, has_more=has_more), call.headers())


async def item(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    found = await in_database(get_item, call.principal.tenant or "", _id(scope), _segments(scope)[-1])
    await _answer(send, call, found)


async def delete_one(service: Service, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    acting, key, name = _acting(call), _id(scope), _segments(scope)[-1]
    await _answer(send, call, _object(await in_database(delete_item, acting=acting, conversation_id=key, name=name)))


def _few(given: list[Any]) -> list[dict[str, Any]]:
    if len(given) > MOST_ITEMS:
        raise InvalidRequest(f"At most {MOST_ITEMS} items can be added at once.", param="items")
    return listed(given)


def _object(conversation: Conversation) -> dict[str, Any]:
    return {
        "id": str(conversation),
        "object": "conversation",
        "created_at": int(conversation.created_at.timestamp()),
        "metadata": conversation.metadata,
    }


async def _answer(send: Send, call: Call, answer: dict[str, Any]) -> None:
    await http.respond(send, 200, http.encode(answer), call.headers())


def _acting(call: Call) -> Any:
    return msgspec.structs.replace(call.principal, request=call.id)


def _segments(scope: Scope) -> list[str]:
    segments: list[str] = scope["path"].removeprefix("/v1/conversations/").split("/")
    return segments


def _id(scope: Scope) -> uuid.UUID | None:
    return id_of(_segments(scope)[0], CONVERSATION)

"""Reads of conversations and their items."""

from __future__ import annotations

import uuid
from typing import Any

from django.utils import timezone

from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import NotFound, TooLarge
from ollamamax.responses.models import Conversation, ConversationItem
from ollamamax.responses.sealed import opened


def get_conversation(tenant: str, conversation_id: uuid.UUID | None) -> Conversation:
    """A conversation of the tenant. Raises `NotFound`."""
    with tenant_scope(tenant):
        found = Conversation.objects.filter(pk=conversation_id).first() if conversation_id else None
    if found is None or found.expires_at <= timezone.now():
        raise NotFound("There is no such conversation.")
    return found


def items_of(tenant: str, conversation_id: uuid.UUID | None, *, most_bytes: int) -> list[dict[str, Any]]:
    """All items in order. Raises `NotFound`, and `TooLarge` for more than one request may have."""
    conversation = get_conversation(tenant, conversation_id)
    with tenant_scope(tenant):
        rows = list(ConversationItem.objects.filter(conversation=conversation).order_by("position"))
    if sum(row.size for row in rows) > most_bytes:
        raise TooLarge(f"The conversation has more than the {most_bytes} bytes that one request may have.")
    return [_shown(row) for row in rows]


def page_of_items(
    tenant: str, conversation_id: uuid.UUID | None, *, after: str | None, limit: int, newest_first: bool
) -> tuple[list[dict[str, Any]], bool]:
    """Items after the one of that id, and whether there are more. Raises `NotFound`."""
    conversation = get_conversation(tenant, conversation_id)
    with tenant_scope(tenant):
        rows = ConversationItem.objects.filter(conversation=conversation)
        if after is not None:
            last = rows.filter(name=after).first()
            if last is None:
                raise NotFound("The conversation has no item of that id.", param="after")
            rows = rows.filter(position__lt=last.position) if newest_first else rows.filter(position__gt=last.position)
        found = list(rows.order_by("-position" if newest_first else "position")[: limit + 1])
    return [_shown(row) for row in found[:limit]], len(found) > limit


def get_item(tenant: str, conversation_id: uuid.UUID | None, name: str) -> dict[str, Any]:
    """One item. Raises `NotFound`."""
    conversation = get_conversation(tenant, conversation_id)
    with tenant_scope(tenant):
        row = ConversationItem.objects.filter(conversation=conversation, name=name).first()
    if row is None:
        raise NotFound("The conversation has no such item.")
    return _shown(row)


def _shown(row: ConversationItem) -> dict[str, Any]:
    found: dict[str, Any] = opened(row.item, row.place)
    return found

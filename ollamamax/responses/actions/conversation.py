"""Writes of conversations and their items."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity.bounds import CONVERSATIONS, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import NotFound, TooLarge
from ollamamax.kernel.ids import uuid7
from ollamamax.kernel.principal import Principal
from ollamamax.responses.items import named
from ollamamax.responses.models import Conversation, ConversationItem
from ollamamax.responses.queries.response import stored_bytes
from ollamamax.responses.sealed import sealed

Item = dict[str, Any]


def create_conversation(*, acting: Principal, items: list[Item], metadata: dict[str, str]) -> Conversation:
    """Raises `Conflict` for more than the tenant may have, and `TooLarge` when it keeps too many bytes."""
    tenant = require_in_tenant(acting, "inference.use")
    _refuse_beyond_quota(tenant, items)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        require_room(CONVERSATIONS, Conversation.objects.all())
        made = Conversation.objects.create(tenant_id=tenant, metadata=metadata, expires_at=_expiry())
        append_items(made.id, items)
        record(
            acting=acting, action="conversation.create", target_type="conversation", target_id=made.id, tenant=tenant
        )
    return made


def change_conversation(
    *, acting: Principal, conversation_id: uuid.UUID | None, metadata: dict[str, str]
) -> Conversation:
    """Replace its metadata. Raises `NotFound`."""
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        found = _locked(conversation_id)
        found.metadata = metadata
        found.save(update_fields=["metadata"])
        record(
            acting=acting, action="conversation.change", target_type="conversation", target_id=found.id, tenant=tenant
        )
    return found


def delete_conversation(*, acting: Principal, conversation_id: uuid.UUID | None) -> None:
    """Forget it and its items; responses that were made in it stay. Raises `NotFound`."""
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        found = _locked(conversation_id)
        record(
            acting=acting, action="conversation.delete", target_type="conversation", target_id=found.id, tenant=tenant
        )
        found.delete()


def add_items(*, acting: Principal, conversation_id: uuid.UUID | None, items: list[Item]) -> list[Item]:
    """Append items; returns them with their ids. Raises `NotFound`, and `TooLarge` when the tenant keeps too many bytes."""
    tenant = require_in_tenant(acting, "inference.use")
    _refuse_beyond_quota(tenant, items)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        found = _locked(conversation_id)
        added = append_items(found.id, items)
        record(
            acting=acting,
            action="conversation.add_items",
            target_type="conversation",
            target_id=found.id,
            tenant=tenant,
            detail={"items": len(added)},
        )
    return added


def delete_item(*, acting: Principal, conversation_id: uuid.UUID | None, name: str) -> Conversation:
    """Forget one item. Raises `NotFound`."""
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        found = _locked(conversation_id)
        deleted, _ = ConversationItem.objects.filter(conversation=found, name=name).delete()
        if not deleted:
            raise NotFound("The conversation has no such item.")
        record(
            acting=acting,
            action="conversation.delete_item",
            target_type="conversation",
            target_id=found.id,
            tenant=tenant,
            detail={"item": name},
        )
    return found


def append_items(conversation_id: uuid.UUID, items: list[Item]) -> list[Item]:
    """Within the tenant's scope and a transaction. Nothing happens in a conversation that is gone. Returns them with their ids."""
    conversation = Conversation.objects.select_for_update().filter(pk=conversation_id).first()
    if conversation is None or not items:
        return []
    own = [str(item.get("id")) for item in items]
    taken = ConversationItem.objects.filter(conversation=conversation, name__in=own).values_list("name", flat=True)
    added = named(items, uuid7, set(taken))
    rows = []
    for position, item in enumerate(added, conversation.next_position):
        row = ConversationItem(
            tenant_id=conversation.tenant_id, conversation=conversation, position=position, name=item["id"]
        )
        row.item = sealed(item, row.place)
        row.size = len(row.item)
        rows.append(row)
    ConversationItem.objects.bulk_create(rows)
    conversation.next_position += len(rows)
    conversation.expires_at = _expiry()
    conversation.save(update_fields=["next_position", "expires_at"])
    return added


def _refuse_beyond_quota(tenant: uuid.UUID, items: list[Item]) -> None:
    """The tenant may overshoot by what is sent at the same moment."""
    most = settings.ENV["OLLAMAMAX_MAX_TENANT_RESPONSES_BYTES"]
    if items and stored_bytes(tenant.hex) > most:
        raise TooLarge(
            f"Your kept responses and conversations exceed the {most} bytes allowed: delete some "
            "(OLLAMAMAX_MAX_TENANT_RESPONSES_BYTES)."
        )


def _expiry() -> datetime.datetime:
    return timezone.now() + datetime.timedelta(days=settings.ENV["OLLAMAMAX_RESPONSE_DAYS"])


def _locked(conversation_id: uuid.UUID | None) -> Conversation:
    found = Conversation.objects.select_for_update().filter(pk=conversation_id).first() if conversation_id else None
    if found is None:
        raise NotFound("There is no such conversation.")
    return found

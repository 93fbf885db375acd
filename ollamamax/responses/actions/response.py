"""Writes of responses: what a gateway keeps of its answers, and what callers do with them.

Keeping one is part of answering and has its usage record; only what a caller does to it afterwards is audited.
"""

from __future__ import annotations

import datetime
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.bus.work_calls import call_on_commit
from ollamamax.identity.bounds import BACKGROUND, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.responses.actions.conversation import append_items
from ollamamax.responses.actions.lease import WORK
from ollamamax.responses.models import KeptResponse
from ollamamax.responses.sealed import opened, sealed

Status = KeptResponse.Status


@dataclass(frozen=True)
class Keep:
    """What is known of a response when it begins; ``request`` only of one in the background."""

    tenant: uuid.UUID
    key: uuid.UUID
    id: uuid.UUID
    object: dict[str, Any]
    input: list[dict[str, Any]]
    earlier: list[uuid.UUID] = field(default_factory=list)
    conversation: uuid.UUID | None = None
    request: dict[str, Any] | None = None


def begin_response(keep: Keep, *, lifetime: datetime.timedelta, lease: datetime.timedelta) -> int:
    """Keep a response before it is made, for ``lifetime``; without an end within ``lease`` it counts as failed. Returns its bytes."""
    now = timezone.now()
    kept = KeptResponse(
        id=keep.id,
        tenant_id=keep.tenant,
        key_id=keep.key,
        status=Status.IN_PROGRESS if keep.request is None else Status.QUEUED,
        is_background=keep.request is not None,
        earlier=keep.earlier,
        conversation=keep.conversation,
        created_at=now,
        expires_at=now + lifetime,
        lease_until=now + lease if keep.request is None else None,
    )
    kept.object = sealed(keep.object, kept.place("object"))
    kept.input = sealed(keep.input, kept.place("input"))
    kept.request = None if keep.request is None else sealed(keep.request, kept.place("request"))
    kept.size = len(kept.object) + len(kept.input) + len(kept.request or b"")
    with tenant_scope(keep.tenant), transaction.atomic(durable=True):
        if kept.is_background:
            unfinished = KeptResponse.objects.filter(is_background=True, status__in=KeptResponse.UNFINISHED)
            require_room(BACKGROUND, unfinished)
            call_on_commit(WORK)
        kept.save(force_insert=True)
    return kept.size


def finish_response(
    tenant: uuid.UUID, response_id: uuid.UUID, status: Status, response: dict[str, Any], *, runner: str = ""
) -> bool:
    """Keep the end; in a conversation, its items too. False, and nothing is written, when it has ended or gone meanwhile."""
    with tenant_scope(tenant), transaction.atomic(durable=True):
        kept = KeptResponse.objects.select_for_update().filter(pk=response_id, runner=runner).first()
        if kept is None or kept.status not in KeptResponse.UNFINISHED:
            return False
        kept.status = status
        kept.object = sealed(response, kept.place("object"))
        kept.request, kept.runner, kept.lease_until = None, "", None
        kept.size = len(kept.object) + len(kept.input)
        kept.save()
        if kept.conversation is not None and status in {Status.COMPLETED, Status.INCOMPLETE}:
            append_items(kept.conversation, [*opened(kept.input, kept.place("input")), *response["output"]])
    return True


def cancel_response(*, acting: Principal, response_id: uuid.UUID | None) -> KeptResponse:
    """End a background response; its runner stops within a second. One that has ended stays as it is.

    Raises `NotFound`, and `Conflict` for one that is not in the background: closing its connection ends that.
    """
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        kept = _locked(response_id)
        if not kept.is_background:
            raise Conflict("Only a background response can be cancelled; close the connection to end another.")
        if kept.status not in KeptResponse.UNFINISHED:
            return kept
        kept.status = Status.CANCELLED
        ended = opened(kept.object, kept.place("object")) | {"status": Status.CANCELLED.value}
        kept.object = sealed(ended, kept.place("object"))
        kept.request = None
        kept.save()
        record(
            acting=acting,
            action="response.cancel",
            target_type="response",
            target_id=kept.id,
            tenant=tenant,
        )
    return kept


def delete_response(*, acting: Principal, response_id: uuid.UUID | None) -> None:
    """Forget a response; one in the background is not worked on any more. Raises `NotFound`."""
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        kept = _locked(response_id)
        record(acting=acting, action="response.delete", target_type="response", target_id=kept.id, tenant=tenant)
        kept.delete()


def _locked(response_id: uuid.UUID | None) -> KeptResponse:
    kept = KeptResponse.objects.select_for_update().filter(pk=response_id).first() if response_id else None
    if kept is None:
        raise NotFound("There is no such response: it was never kept, it was deleted, or its time is over.")
    return kept

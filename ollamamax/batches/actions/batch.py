"""What callers do with batches: order one, cancel one."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.batches.actions.lease import WORK
from ollamamax.batches.models import Batch, File
from ollamamax.batches.window import span
from ollamamax.bus.work_calls import call_on_commit
from ollamamax.identity.bounds import BATCHES, require_room
from ollamamax.identity.models import ApiKey
from ollamamax.identity.queries.key import lock_key
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses")


def create_batch(
    *,
    acting: Principal,
    input_file: uuid.UUID | None,
    endpoint: str,
    completion_window: str,
    metadata: dict[str, str] | None,
    key: uuid.UUID | None = None,
) -> Batch:
    """Order a batch; a runner takes it up, and asks its requests as ``key``: by default the one that orders it.

    Raises `InvalidRequest`, and `NotFound` for a file that is not the tenant's and a key that ``acting`` may not change.
    """
    tenant = require_in_tenant(acting, "inference.use")
    if acting.kind != "key" and key is None:
        raise InvalidRequest("A batch needs an API key, as which its requests are run.", param="key")
    if endpoint not in ENDPOINTS:
        raise InvalidRequest(f"'endpoint' must be one of {', '.join(ENDPOINTS)}.", param="endpoint")
    window = span(completion_window)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        # Held, so that it is not deleted before the batch is there to need it.
        file = File.objects.select_for_update().filter(pk=input_file).first() if input_file else None
        if file is None:
            raise NotFound("There is no such file.", param="input_file_id")
        if file.purpose != File.Purpose.BATCH:
            raise InvalidRequest("The file's purpose is not 'batch'.", param="input_file_id")
        runs_as = key_to_run_as(acting, uuid.UUID(acting.id) if key is None else key)
        require_room(BATCHES, Batch.objects.filter(status__in=Batch.UNFINISHED))
        batch = Batch.objects.create(
            tenant_id=tenant,
            key=runs_as,
            endpoint=endpoint,
            completion_window=completion_window,
            metadata=metadata,
            input_file=file.id,
            expires_at=timezone.now() + window,
        )
        call_on_commit(WORK)
        record(
            acting=acting,
            action="batch.create",
            target_type="batch",
            target_id=batch.id,
            tenant=tenant,
            detail={
                "endpoint": endpoint,
                "input_file": file.id.hex,
                "completion_window": completion_window,
                "key": runs_as.identifier,
            },
        )
    return batch


def key_to_run_as(by: Principal, key_id: uuid.UUID) -> ApiKey:
    """The key as which work is run that goes on when its caller leaves. Raises `NotFound`, and `InvalidRequest` for one that could not run it to its end."""
    is_own = by.kind == "key" and key_id == uuid.UUID(by.id)
    found = ApiKey.objects.filter(pk=key_id).first() if is_own else lock_key(by, key_id)
    if found is None:
        raise NotFound("There is no such key.")
    if found.of_session:
        raise InvalidRequest("This token ends within minutes: name an API key of yours.", param="key")
    if found.revoked_at is not None or (found.expires_at is not None and found.expires_at <= timezone.now()):
        raise InvalidRequest("This key is revoked or expired.", param="key")
    if not is_own and "inference.use" not in found.permissions:
        raise InvalidRequest("This key may not use models.", param="key")
    return found


def cancel_batch(*, acting: Principal, batch_id: uuid.UUID | None) -> Batch:
    """Ask for the end of a batch; its runner stops within a second. Asked again, nothing changes.

    Raises `NotFound`, and `Conflict` for a batch that has ended or is writing its output.
    """
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        held = Batch.objects.select_for_update(of=("self",)).select_related("key")
        batch = held.filter(pk=batch_id).first() if batch_id else None
        if batch is None:
            raise NotFound("There is no such batch.")
        if batch.status == Batch.Status.CANCELLING:
            return batch
        if batch.status not in {Batch.Status.VALIDATING, Batch.Status.IN_PROGRESS}:
            raise Conflict(f"A batch whose status is '{batch.status}' cannot be cancelled.")
        batch.status, batch.cancelling_at = Batch.Status.CANCELLING, timezone.now()
        batch.save(update_fields=["status", "cancelling_at"])
        record(
            acting=acting,
            action="batch.cancel",
            target_type="batch",
            target_id=batch.id,
            tenant=tenant,
            detail={"total": batch.total, "completed": batch.completed, "failed": batch.failed},
        )
    return batch

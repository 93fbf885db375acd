"""Writes of files. The bytes come first and go last, so that a row never lacks them."""

from __future__ import annotations

import uuid

from django.db import transaction

from ollamamax.audit.actions import record
from ollamamax.batches.models import File
from ollamamax.batches.queries.batch import unfinished_of
from ollamamax.batches.queries.file import stored_bytes
from ollamamax.identity.bounds import FILES, require_room
from ollamamax.identity.models import Tenant
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, NotFound, TooLarge
from ollamamax.kernel.principal import Principal


def create_file(*, acting: Principal, file_id: uuid.UUID, name: str, size: int, sha256: str, most_bytes: int) -> File:
    """Take up an uploaded file whose bytes are stored. Raises `TooLarge` when the tenant's files exceed ``most_bytes``."""
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        # Two uploads at once: each must see the other in the sum.
        Tenant.objects.select_for_update().get(pk=tenant)
        if stored_bytes() + size > most_bytes:
            raise TooLarge(
                f"With this one your files would exceed the {most_bytes} bytes allowed; delete some.",
                param="file",
            )
        require_room(FILES, File.objects.all())
        file = File.objects.create(
            id=file_id, tenant_id=tenant, purpose=File.Purpose.BATCH, name=name, size=size, sha256=sha256
        )
        record(
            acting=acting,
            action="file.create",
            target_type="file",
            target_id=file.id,
            tenant=tenant,
            detail={"name": name, "size": size, "sha256": sha256},
        )
    return file


def delete_file(*, acting: Principal, file_id: uuid.UUID | None) -> None:
    """Forget a file; its bytes are the caller's to remove. Raises `NotFound`, and `Conflict` while a batch needs it."""
    tenant = require_in_tenant(acting, "inference.use")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        file = File.objects.select_for_update().filter(pk=file_id).first() if file_id else None
        if file is None:
            raise NotFound("There is no such file.")
        needing = unfinished_of(file.id).first()
        if needing is not None:
            raise Conflict(f"{needing} still needs this file; cancel it first.")
        record(
            acting=acting,
            action="file.delete",
            target_type="file",
            target_id=file.id,
            tenant=tenant,
            detail={"name": file.name, "size": file.size},
        )
        file.delete()

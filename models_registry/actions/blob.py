"""Blobs: taken over from who sent them, and removed when no version and no sender needs them any more."""

from __future__ import annotations

import datetime
import uuid
from typing import Literal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from models_registry.actions.lock import lock_blobs
from models_registry.blob_keys import blob_key, digest_of
from models_registry.gguf_header import Header, header_in, kind_in
from models_registry.models import Blob, Upload
from models_registry.queries.blob import blob_bytes, has_blob
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.blobs.disk import in_folder
from ollamamax.blobs.reading import open_file
from ollamamax.blobs.staging import Incoming, Staged
from ollamamax.blobs.store import Sources
from ollamamax.identity.bounds import UPLOADS, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import TooLarge
from ollamamax.kernel.principal import Principal

KEEP_UPLOADS = datetime.timedelta(hours=24)
KEEP_PARTS = datetime.timedelta(days=7)
_log = logs.get(__name__)


def blob_store() -> Sources:
    return in_folder(settings.HOME / "blobs")


def header_of_blob(digest: str) -> Header:
    """What the GGUF file in a blob says of its model. Raises `InvalidRequest` when it is none."""
    with open_file(blob_store(), blob_key(digest)) as file:
        return header_in(file, digest)


def kind_of_blob(digest: str) -> Literal["model", "adapter", "projector"]:
    """What the GGUF file in a blob is for. Raises `InvalidRequest` when it is none."""
    with open_file(blob_store(), blob_key(digest)) as file:
        return kind_in(file, digest)


def refuse_beyond_quota(size: int) -> None:
    """Raises `TooLarge` when so many bytes more are too many for the tenant in scope. Queries: 1."""
    most, held = settings.ENV["OLLAMAMAX_MAX_TENANT_BLOBS_BYTES"], blob_bytes()
    if held + size > most:
        raise TooLarge(
            f"This tenant's models have {held} bytes and may have {most}: {size} more are too many. Delete a model first.",
            limit=most,
        )


def take_over(
    *, tenant: uuid.UUID, staged: Staged, digest: str, size: int, media_type: str = "application/octet-stream"
) -> Blob:
    """Make what was gathered whole, and whose digest was verified, a blob that the tenant has. Safe to repeat.

    Not an entry action: who calls it, tells of it.
    """
    with tenant_scope(tenant), transaction.atomic():
        lock_blobs([digest])
        if not has_blob(digest):
            refuse_beyond_quota(size)
        if not Upload.objects.filter(blob_id=digest).exists():
            require_room(UPLOADS, Upload.objects.all())
        blob_store().put(staged, blob_key(digest))
        blob, _ = Blob.objects.get_or_create(digest=digest, defaults={"size": size, "media_type": media_type})
        Upload.objects.update_or_create(tenant_id=tenant, blob=blob, defaults={"sent_at": timezone.now()})
    return blob


def put_bytes(*, tenant: uuid.UUID, data: bytes, media_type: str) -> Blob:
    """A small blob that is made here, for a version of the tenant."""
    incoming = blob_store().staging.receive()
    try:
        incoming.write(data)
        incoming.finish()
        digest = digest_of(incoming)
        return take_over(tenant=tenant, staged=incoming, digest=digest, size=incoming.size, media_type=media_type)
    finally:
        incoming.discard()


def keep_upload(*, acting: Principal, incoming: Incoming) -> Blob:
    """What a client sent whole, with the digest it said; the caller checked that."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        blob = take_over(tenant=tenant, staged=incoming, digest=digest_of(incoming), size=incoming.size)
        record(
            acting=acting,
            action="blob.upload",
            target_type="blob",
            target_id=blob.digest,
            tenant=tenant,
            detail={"size": blob.size},
        )
    return blob


def collect_garbage() -> int:
    """Remove what nobody needs: old uploads, blobs of no version, unfinished files. Safe to run twice.

    Returns how many blobs went. Queries: 3, and 4 for each blob that goes.
    """
    now = timezone.now()
    with every_tenant():
        Upload.objects.filter(sent_at__lt=now - KEEP_UPLOADS).delete()
        unneeded = list(_unneeded().values_list("digest", flat=True))
        removed = sum(_remove(digest) for digest in unneeded)
    left = blob_store().staging.forget_left(KEEP_UPLOADS.total_seconds(), KEEP_PARTS.total_seconds())
    if removed or left:
        _log.info("garbage_collected", blobs=removed, files=left)
    return removed


def _unneeded() -> QuerySet[Blob]:
    return Blob.objects.filter(versions=None, uploads=None)


def _remove(digest: str) -> bool:
    with transaction.atomic(durable=True):
        lock_blobs([digest])
        if not _unneeded().filter(digest=digest).exists():
            return False
        Blob.objects.filter(digest=digest).delete()
        # Within the lock, or it would take the file of somebody who sends the same bytes at this moment.
        blob_store().delete(blob_key(digest))
    return True

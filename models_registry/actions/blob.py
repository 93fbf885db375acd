"""Blobs: taken over from who sent them, kept for what they were sent for, and forgotten by a repository."""

from __future__ import annotations

import datetime
import uuid
from typing import Literal

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_registry.actions.lock import lock_blobs
from models_registry.blob_keys import blob_key, digest_of
from models_registry.distribution.faults import RegistryFault
from models_registry.gguf_header import Header, header_in, kind_in
from models_registry.models import Blob, Upload
from models_registry.queries.blob import blob_bytes, has_blob
from models_registry.queries.repository import Repository, blob_in, require_to_pull, require_to_push, within
from ollamamax.audit.actions import record
from ollamamax.blobs.places import sources
from ollamamax.blobs.reading import open_file
from ollamamax.blobs.staging import Incoming, Staged
from ollamamax.blobs.store import Sources
from ollamamax.identity.bounds import UPLOADS, require_room
from ollamamax.identity.rights import require_in_tenant, tenant_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import TooLarge
from ollamamax.kernel.principal import Principal

KEEP_UPLOADS = datetime.timedelta(hours=24)


def blob_store() -> Sources:
    return sources(settings.HOME, "blobs", settings.ENV)


def header_of_blob(digest: str) -> Header:
    """What the GGUF file in a blob says of its model. Raises `InvalidRequest` when it is none."""
    with open_file(blob_store(), blob_key(digest)) as file:
        return header_in(file, digest)


def kind_of_blob(digest: str) -> Literal["model", "adapter", "projector"]:
    """What the GGUF file in a blob is for. Raises `InvalidRequest` when it is none."""
    with open_file(blob_store(), blob_key(digest)) as file:
        return kind_in(file, digest)


def refuse_beyond_quota(size: int) -> int:
    """How many bytes the tenant in scope may have besides. Raises `TooLarge` when so many bytes more are too many. Queries: 1."""
    most, held = settings.ENV["OLLAMAMAX_MAX_TENANT_BLOBS_BYTES"], blob_bytes()
    if held + size > most:
        raise TooLarge(
            f"This tenant's models have {held} bytes and may have {most}: {size} more are too many. Delete a model first.",
            limit=most,
        )
    return int(most) - held - size


def take_over(
    *,
    tenant: uuid.UUID,
    staged: Staged,
    digest: str,
    size: int,
    media_type: str = "application/octet-stream",
    repository: str = "",
) -> Blob:
    """Make what was gathered whole, and whose digest was verified, a blob that the tenant has. Safe to repeat.

    ``repository``: the model that it was sent for, where only that may use it. Not an entry action: who calls it, tells of it.
    """
    with tenant_scope(tenant), transaction.atomic():
        lock_blobs([digest])
        if not has_blob(digest):
            refuse_beyond_quota(size)
        blob = store_blob(staged, digest, size, media_type)
        hold(tenant, blob, repository)
    return blob


def store_blob(staged: Staged, digest: str, size: int, media_type: str) -> Blob:
    """The row and the bytes of a blob, whether it was there before or not; under the lock of its digest."""
    if Blob.objects.filter(pk=digest).exclude(damaged_at=None).exists():
        blob_store().delete(blob_key(digest))  # what still stands there is not whole
    blob_store().put(staged, blob_key(digest))
    blob, _ = Blob.objects.get_or_create(digest=digest, defaults={"size": size, "media_type": media_type})
    if blob.damaged_at is not None:  # what was sent is whole
        blob.damaged_at = None
        blob.save(update_fields=["damaged_at"])
    return blob


def hold(tenant: uuid.UUID, blob: Blob, repository: str = "") -> None:
    """Keep a blob for a day, for what the tenant in scope makes of it; under the lock of its digest."""
    if not Upload.objects.filter(blob=blob, repository=repository).exists():
        require_room(UPLOADS, Upload.objects.all())
    Upload.objects.update_or_create(
        tenant_id=tenant, blob=blob, repository=repository, defaults={"sent_at": timezone.now()}
    )


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


def keep_pushed(*, acting: Principal, name: str, staged: Staged, digest: str, size: int) -> None:
    """What was sent to a repository by the registry protocol, with the digest that was said; the caller checked that.

    Raises `Forbidden`, `RegistryFault`, and `TooLarge` and `Conflict` for more than the tenant may have.
    """
    tenant = tenant_of(acting)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        repository = require_to_push(acting, name)
        take_over(tenant=tenant, staged=staged, digest=digest, size=size, repository=repository.model)
        record(
            acting=acting,
            action="blob.upload",
            target_type="blob",
            target_id=digest,
            tenant=tenant,
            detail={"size": size, "repository": repository.model},
        )


def mount_blob(*, acting: Principal, name: str, source: str, digest: str) -> bool:
    """Let a repository have a blob of another one that ``acting`` may read; ``False`` where that has none, or none that they may read.

    Raises `Forbidden` and `RegistryFault` for a repository that is not theirs to push to, and `TooLarge` and `Conflict` for too much.
    """
    tenant = tenant_of(acting)
    try:
        lender = require_to_pull(acting, source, new=True)
        found = within(lender, lambda: blob_in(lender, digest))
    except RegistryFault:
        return False
    with tenant_scope(tenant), transaction.atomic(durable=True):
        repository = require_to_push(acting, name)
        lock_blobs([digest])
        if not Blob.objects.filter(pk=digest).exists():
            return False
        if not has_blob(digest):
            refuse_beyond_quota(found.size)
        hold(tenant, found, repository.model)
        record(
            acting=acting,
            action="blob.mount",
            target_type="blob",
            target_id=digest,
            tenant=tenant,
            detail={"from": source, "repository": repository.model},
        )
    return True


def keep_for_push(repository: Repository, digest: str) -> None:
    """What a client that may push was told to be in the repository stays for a day: its manifest may come late. Raises `RegistryFault`."""
    with tenant_scope(repository.owner), transaction.atomic(durable=True):
        held = Upload.objects.filter(blob_id=digest, repository=repository.model).first()
        if held is not None and timezone.now() - held.sent_at < KEEP_UPLOADS / 4:
            return
        lock_blobs([digest])
        hold(repository.owner, blob_in(repository, digest), repository.model)


def forget_upload(*, acting: Principal, name: str, digest: str) -> None:
    """Take a blob that no version has out of a repository. Raises `RegistryFault`, also for one that a version has, and `Forbidden`."""
    tenant = tenant_of(acting)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        repository = require_to_push(acting, name)
        lock_blobs([digest])
        blob_in(repository, digest)
        Upload.objects.filter(blob_id=digest, repository=repository.model).delete()
        if Blob.objects.filter(pk=digest, versions__releases__model_id=repository.id).exists():
            raise RegistryFault("UNSUPPORTED", 405, "A version has this blob: delete its manifest.", digest=digest)
        record(
            acting=acting,
            action="blob.delete",
            target_type="blob",
            target_id=digest,
            tenant=tenant,
            detail={"repository": repository.model},
        )

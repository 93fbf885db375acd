"""Writes mirrors: made, changed, deleted; and what they keep of their upstream, the longest unused of which goes first."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from models_registry.actions.blob import refuse_beyond_quota, store_blob
from models_registry.actions.lock import lock_blobs, lock_mirror
from models_registry.distribution.image import PushedImage
from models_registry.distribution.upstream import checked_prefix, checked_upstream, there
from models_registry.models import Blob, Mirror, MirroredBlob, MirroredImage, MirroredTag, Model
from models_registry.queries.blob import has_blob
from models_registry.queries.mirror import MirroredRepository, get_mirror, kept_bytes
from models_registry.queries.upstream import allowed_registries
from ollamamax.audit.actions import record
from ollamamax.blobs.staging import Staged
from ollamamax.identity.bounds import MIRRORS, require_room
from ollamamax.identity.models import Tenant
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, TooLarge
from ollamamax.kernel.principal import Principal

MANAGE = "model.manage"
MOST_IMAGES = 10_000
"""Manifests that one mirror keeps."""
NOTED = datetime.timedelta(minutes=10)
"""How exactly it is kept when something was last used."""


def create_mirror(*, acting: Principal, prefix: str, upstream: str, most_bytes: int, check_seconds: int) -> Mirror:
    """Raises `InvalidRequest`, `Forbidden` for a registry that this installation does not speak to, and `Conflict` for a prefix that is taken."""
    tenant = require_in_tenant(acting, MANAGE)
    allowed_registries().check(there(checked_upstream(upstream), "any"))
    with tenant_scope(tenant), transaction.atomic(durable=True):
        require_room(MIRRORS, Mirror.objects.all())
        checked_prefix(prefix, Tenant.objects.values_list("slug", flat=True).get(pk=tenant))
        if Mirror.objects.filter(prefix=prefix).exists():
            raise Conflict("There is a mirror with this prefix already.", param="prefix")
        if Model.objects.filter(name__startswith=f"{prefix}/").exists():
            raise Conflict(
                "There are models of names below this prefix, which could not be pulled any more.", param="prefix"
            )
        made = Mirror.objects.create(
            tenant_id=tenant, prefix=prefix, upstream=upstream, most_bytes=most_bytes, check_seconds=check_seconds
        )
        record(
            acting=acting,
            action="mirror.create",
            target_type="mirror",
            target_id=made.id,
            tenant=tenant,
            detail=_told(made),
        )
    return get_in(tenant, made.id)


def change_mirror(*, acting: Principal, mirror_id: uuid.UUID, **changes: int) -> Mirror:
    """``most_bytes``, ``check_seconds``; what is not named stays. Raises `NotFound`."""
    tenant = require_in_tenant(acting, MANAGE)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        mirror = get_mirror(mirror_id)
        before = _told(mirror)
        for name, value in changes.items():
            setattr(mirror, name, value)
        mirror.save(update_fields=list(changes))
        make_room(mirror, 0)
        record(
            acting=acting,
            action="mirror.change",
            target_type="mirror",
            target_id=mirror.id,
            tenant=tenant,
            detail={"before": before, "after": _told(mirror)},
        )
    return get_in(tenant, mirror_id)


def delete_mirror(*, acting: Principal, mirror_id: uuid.UUID) -> None:
    """Forget a mirror and what it keeps, the bytes of which go with the next collection. Raises `NotFound`."""
    tenant = require_in_tenant(acting, MANAGE)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        mirror = get_mirror(mirror_id)
        record(
            acting=acting,
            action="mirror.delete",
            target_type="mirror",
            target_id=mirror.id,
            tenant=tenant,
            detail=_told(mirror),
        )
        Mirror.objects.filter(pk=mirror.pk).delete()


def get_in(tenant: uuid.UUID, mirror_id: uuid.UUID) -> Mirror:
    with tenant_scope(tenant):
        return get_mirror(mirror_id)


def keep_image(mirrored: MirroredRepository, image: PushedImage, tag: str) -> MirroredImage:
    """What the upstream said is a manifest, where a tag points at it now where one was asked for, and which blobs it names. Safe to repeat.

    Not an entry action: who pulls it needs to read alone.
    """
    now = timezone.now()
    own: dict[str, Any] = {"tenant_id": mirrored.tenant, "mirror": mirrored.mirror, "repository": mirrored.repository}
    named = {each.digest: each for each in (*image.blobs, *([image.config] if image.config else []))}
    with tenant_scope(mirrored.tenant), transaction.atomic(durable=True):
        lock_mirror(mirrored.mirror.id)
        kept, _ = MirroredImage.objects.update_or_create(
            **own,
            digest=image.digest,
            defaults={"media_type": image.media_type, "body": image.body, "used_at": now},
        )
        if tag:
            MirroredTag.objects.update_or_create(**own, name=tag, defaults={"image": kept, "checked_at": now})
        MirroredBlob.objects.bulk_create(
            [
                MirroredBlob(**own, digest=each.digest, size=each.size, media_type=each.media_type[:200], used_at=now)
                for each in named.values()
            ],
            ignore_conflicts=True,
        )
        kept.blobs.set(mirrored.blobs().filter(digest__in=named))
        over = MirroredImage.objects.filter(mirror=mirrored.mirror).count() - MOST_IMAGES
        if over > 0:
            oldest = MirroredImage.objects.filter(mirror=mirrored.mirror).order_by("used_at", "id")[:over]
            MirroredImage.objects.filter(pk__in=[each.pk for each in oldest]).delete()
            MirroredBlob.objects.filter(mirror=mirrored.mirror, images=None).delete()
    return kept


def forget_tag(mirrored: MirroredRepository, tag: str) -> None:
    """The upstream has it no more."""
    with tenant_scope(mirrored.tenant):
        mirrored.tags().filter(name=tag).delete()


def make_room_for(mirrored: MirroredRepository, size: int, begun: int) -> None:
    """Before so many bytes are fetched; ``begun`` are those of other blobs of the tenant on their way. Raises `TooLarge`."""
    mirror = mirrored.mirror
    if size > mirror.most_bytes:
        raise TooLarge(
            f"The blob has {size} bytes, and the mirror '{mirror.prefix}' keeps at most {mirror.most_bytes}.",
            limit=mirror.most_bytes,
        )
    with tenant_scope(mirrored.tenant), transaction.atomic(durable=True):
        lock_mirror(mirror.id)
        make_room(mirror, size)
        refuse_beyond_quota(size + begun)


def make_room(mirror: Mirror, size: int) -> None:
    """Let go of the longest unused blobs until so many bytes more are within the mirror's bound; under its lock, or before anybody can pull."""
    over = kept_bytes(mirror.id) + size - mirror.most_bytes
    held = MirroredBlob.objects.filter(mirror=mirror).exclude(blob=None).order_by("used_at", "id")
    for digest, bytes_ in list(held.values_list("digest", "size")) if over > 0 else []:
        if over <= 0:
            break
        if MirroredBlob.objects.filter(mirror=mirror, digest=digest).exclude(blob=None).update(blob=None):
            over -= bytes_


def keep_blob(mirrored: MirroredRepository, staged: Staged, named: MirroredBlob) -> Blob:
    """What was fetched whole, and whose digest was verified. Safe to repeat. Raises `TooLarge`."""
    with tenant_scope(mirrored.tenant), transaction.atomic(durable=True):
        lock_mirror(mirrored.mirror.id)
        lock_blobs([named.digest])
        make_room(mirrored.mirror, named.size)
        if not has_blob(named.digest):
            refuse_beyond_quota(named.size)
        blob = store_blob(staged, named.digest, named.size, named.media_type)
        _named_in(mirrored.mirror, named.digest).update(blob=blob, used_at=timezone.now())
    return blob


def hold_blob(mirrored: MirroredRepository, named: MirroredBlob) -> Blob | None:
    """The blob, where the tenant has it already: then it need not be fetched, and stays for the mirror. ``None`` where it does not."""
    with tenant_scope(mirrored.tenant), transaction.atomic(durable=True):
        lock_blobs([named.digest])
        if not has_blob(named.digest):
            return None
        blob = Blob.objects.get(pk=named.digest)
        _named_in(mirrored.mirror, named.digest).update(blob=blob, used_at=timezone.now())
    return blob


def note_image_use(image: MirroredImage) -> None:
    """That somebody pulled it, to within some minutes."""
    if timezone.now() - image.used_at > NOTED:
        with tenant_scope(image.tenant_id):
            MirroredImage.objects.filter(pk=image.pk).update(used_at=timezone.now())


def note_blob_use(named: MirroredBlob) -> None:
    """That somebody pulled it, to within some minutes."""
    if timezone.now() - named.used_at > NOTED:
        with tenant_scope(named.tenant_id):
            MirroredBlob.objects.filter(mirror=named.mirror_id, digest=named.digest).update(used_at=timezone.now())


def _named_in(mirror: Mirror, digest: str) -> QuerySet[MirroredBlob]:
    return MirroredBlob.objects.filter(mirror=mirror, digest=digest)


def _told(mirror: Mirror) -> dict[str, Any]:
    return {
        "prefix": mirror.prefix,
        "upstream": mirror.upstream,
        "most_bytes": mirror.most_bytes,
        "check_seconds": mirror.check_seconds,
    }

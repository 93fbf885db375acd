"""Publish a version, and take note of one that an engine keeps by itself."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from models_registry import manifest as manifests
from models_registry import publication
from models_registry.blobstore.store import DIGEST, BlobStore
from models_registry.gguf_header import read_header
from models_registry.models import Blob, Channel, Model, Version
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.principal import Principal

_log = logs.get(__name__)


def blob_store() -> BlobStore:
    return BlobStore(settings.HOME / "blobs")


def publish_gguf(*, acting: Principal, file: Path, name: str, aliases: tuple[str, ...] = ()) -> Version:
    """Store a GGUF file and point ``name`` (and further channels of the same model) at it.

    Publishing the same file under the same name again changes nothing but where the channels point.
    Raises `InvalidRequest` for a bad name or a file that is not GGUF.
    """
    tenant = require_in_tenant(acting, "model.manage")
    model, channel = manifests.split_name(name)
    header = read_header(file).as_dict()
    # Slow work first: nothing is locked while the bytes are copied.
    blob_digest, size = blob_store().add(file)
    manifest = manifests.hosted(f"{model}:{channel}", header, blob_digest, size)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        blob, _ = Blob.objects.get_or_create(digest=blob_digest, defaults={"size": size, "media_type": manifests.GGUF})
        version, created = Version.objects.get_or_create(
            tenant_id=tenant,
            digest=manifests.digest_of(manifest),
            defaults={
                "source": Version.Source.HOSTED,
                "manifest": manifest,
                "size": size,
                "details": header,
            },
        )
        if created:
            version.blobs.add(blob)
        moved = _point(tenant, model, (channel, *aliases), version)
        record(
            acting=acting,
            action="version.publish",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"model": model, "channels": [each.name for each in moved], "size": size},
        )
    _announce(moved)
    return version


def register_external(*, acting: Principal, name: str, digest: str, engine: str, size: int | None) -> Version:
    """A model that an engine reports as its own. A channel that points elsewhere already is left alone.

    Raises `InvalidRequest` for a name or digest that is none.
    """
    tenant = require_in_tenant(acting, "model.manage")
    model, channel = manifests.split_name(name)
    if DIGEST.match(digest) is None:
        raise InvalidRequest(f"'{digest}' is not a sha256 digest.", param="digest")
    manifest: dict[str, Any] = {"schema": 1, "name": f"{model}:{channel}", "engine": engine, "digest": digest}
    with tenant_scope(tenant), transaction.atomic(durable=True):
        version, _ = Version.objects.get_or_create(
            tenant_id=tenant,
            digest=digest,
            defaults={"source": Version.Source.EXTERNAL, "manifest": manifest, "size": size or 0, "details": {}},
        )
        taken = Channel.objects.filter(tenant_id=tenant, model__name=model, name=channel).exists()
        moved = [] if taken else _point(tenant, model, (channel,), version)
        record(
            acting=acting,
            action="version.register",
            target_type="version",
            target_id=digest,
            tenant=tenant,
            detail={"model": model, "channel": channel, "engine": engine, "channel_taken": taken},
        )
    _announce(moved)
    return version


def _point(tenant: uuid.UUID, model: str, channels: tuple[str, ...], version: Version) -> list[Channel]:
    named, _ = Model.objects.get_or_create(tenant_id=tenant, name=model)
    return [
        Channel.objects.update_or_create(
            tenant_id=tenant,
            model=named,
            name=channel,
            defaults={"version": version, "moved_at": timezone.now()},
        )[0]
        for channel in dict.fromkeys(channels)
    ]


def _announce(channels: list[Channel]) -> None:
    """Tell the data plane. When Redis is away the loop `models_registry.reconcile_replicas` does it later."""
    try:
        publication.announce(channels)
    except RedisError as error:
        _log.warning("models_not_announced_yet", error=str(error))

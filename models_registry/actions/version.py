"""Publish a version, and take note of one that an engine keeps by itself."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import transaction

from models_registry import manifest as manifests
from models_registry import publication
from models_registry.actions.blob import blob_store, put_bytes, take_over
from models_registry.actions.lock import lock_blobs, lock_names, lock_replicas
from models_registry.actions.point import point_names
from models_registry.blob_keys import DIGEST, digest_of
from models_registry.gguf_header import read_header
from models_registry.manifest import Layer
from models_registry.models import Blob, Channel, Release, Upload, Version
from ollamamax.audit.actions import record
from ollamamax.identity.bounds import VERSIONS, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest
from ollamamax.kernel.principal import Principal

__all__ = ["blob_store", "publish_gguf", "publish_version", "register_external"]


def publish_gguf(
    *,
    acting: Principal,
    file: Path,
    name: str,
    aliases: tuple[str, ...] = (),
    texts: Sequence[tuple[str, bytes]] = (),
) -> Version:
    """Store a GGUF file and point ``name`` (and further channels of the same model) at it.

    ``texts`` are further layers, media type and bytes. Publishing the same file under the same name again changes nothing but where the channels point.
    Raises `InvalidRequest` for a bad name or a file that is not GGUF.
    """
    tenant = require_in_tenant(acting, "model.manage")
    manifests.split_name(name)
    header = read_header(file).as_dict()
    # Slow work first: nothing is locked while the bytes are copied.
    incoming = blob_store().staging.copy(file)
    try:
        blob = take_over(
            tenant=tenant,
            staged=incoming,
            digest=digest_of(incoming),
            size=incoming.size,
            media_type=manifests.GGUF,
        )
    finally:
        incoming.discard()
    layers = [Layer(blob.digest, blob.size, manifests.GGUF)]
    for media_type, data in texts:
        text = put_bytes(tenant=tenant, data=data, media_type=media_type)
        layers.append(Layer(text.digest, text.size, media_type))
    return publish_version(acting=acting, name=name, config=header, layers=layers, aliases=aliases)


def publish_version(
    *,
    acting: Principal,
    name: str,
    config: dict[str, Any],
    layers: Sequence[Layer],
    image_config: Layer | None = None,
    aliases: tuple[str, ...] = (),
) -> Version:
    """Point ``name`` at the version of these layers, all of which the tenant has. Safe to repeat.

    Raises `InvalidRequest` for a bad name, `Conflict` when a blob was removed meanwhile, or
    for more names or versions than the tenant may have.
    """
    tenant = require_in_tenant(acting, "model.manage")
    model, channel = manifests.split_name(name)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        version = hosted_version(tenant, f"{model}:{channel}", config, layers, image_config)
        moved = point_names(tenant, model, (channel, *aliases), version, by=acting)
        record(
            acting=acting,
            action="version.publish",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"model": model, "channels": [each.name for each in moved], "size": version.size},
        )
        publication.publish_channels_on_commit(moved)
    return version


def make_version(
    *, acting: Principal, name: str, config: dict[str, Any], layers: Sequence[Layer], image_config: Layer | None = None
) -> Version:
    """The version of these layers, before any name points at it: nodes fetch it while its lease `keys.version_made` is held.

    Raises what `publish_version` raises.
    """
    tenant = require_in_tenant(acting, "model.manage")
    model, channel = manifests.split_name(name)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        version = hosted_version(tenant, f"{model}:{channel}", config, layers, image_config)
        record(
            acting=acting,
            action="version.make",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"model": model, "channel": channel, "size": version.size},
        )
        publication.publish_blobs_on_commit([version])
    return version


def point_version(*, acting: Principal, name: str, version: Version) -> None:
    """Point ``name`` at a version that was made for it. Raises `Conflict` when that was deleted meanwhile, or for too many names."""
    tenant = require_in_tenant(acting, "model.manage")
    model, channel = manifests.split_name(name)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        if not Version.objects.filter(pk=version.pk).exists():
            raise Conflict("The model was deleted while it was made.")
        moved = point_names(tenant, model, (channel,), version, by=acting)
        record(
            acting=acting,
            action="version.publish",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"model": model, "channels": [each.name for each in moved], "size": version.size},
        )
        publication.publish_channels_on_commit(moved)


def discard_version(*, acting: Principal, version: Version) -> None:
    """Forget a version that was made in vain, unless a model has it: the loops take it off the nodes and free its blobs."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        lock_replicas()
        gone, _ = Version.objects.filter(pk=version.pk, channels=None, releases=None).delete()
        record(
            acting=acting,
            action="version.discard",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"gone": bool(gone)},
        )


def hosted_version(
    tenant: uuid.UUID, name: str, config: dict[str, Any], layers: Sequence[Layer], image_config: Layer | None
) -> Version:
    manifest = manifests.of_layers(name, config, layers, image_config)
    needed = {layer.digest for layer in (*layers, *([image_config] if image_config else []))}
    lock_blobs(needed)
    blobs = list(Blob.objects.filter(digest__in=needed))
    if len(blobs) != len(needed):
        raise Conflict("A blob of this model was removed meanwhile. Send it again.", retry_after=1)
    digest = manifests.digest_of(manifest)
    require_room_for(digest)
    version, created = Version.objects.get_or_create(
        tenant_id=tenant,
        digest=digest,
        defaults={
            "source": Version.Source.HOSTED,
            "manifest": manifest,
            "size": sum(layer.size for layer in layers),
            "details": config,
        },
    )
    if created:
        version.blobs.add(*blobs)
    # From now on the version holds them; what was sent to other repositories waits for other manifests.
    Upload.objects.filter(blob_id__in=needed, repository__in=["", name.rpartition(":")[0]]).delete()
    return version


def register_external(
    *, acting: Principal, name: str, digest: str, engine: str, size: int | None, move: bool = False
) -> Version:
    """A model that an engine reports as its own. A channel that points elsewhere already is left alone, unless ``move``.

    Raises `InvalidRequest` for a name or digest that is none, and `Conflict` for more than the tenant may have.
    """
    tenant = require_in_tenant(acting, "model.manage")
    model, channel = manifests.split_name(name)
    if DIGEST.fullmatch(digest) is None:
        raise InvalidRequest(f"'{digest}' is not a sha256 digest.", param="digest")
    manifest: dict[str, Any] = {"schema": 1, "name": f"{model}:{channel}", "engine": engine, "digest": digest}
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        require_room_for(digest)
        version, _ = Version.objects.get_or_create(
            tenant_id=tenant,
            digest=digest,
            defaults={"source": Version.Source.EXTERNAL, "manifest": manifest, "size": size or 0, "details": {}},
        )
        taken = not move and Channel.objects.filter(tenant_id=tenant, model__name=model, name=channel).exists()
        moved = (
            [] if taken else point_names(tenant, model, (channel,), version, by=acting, origin=Release.Origin.ENGINE)
        )
        record(
            acting=acting,
            action="version.register",
            target_type="version",
            target_id=digest,
            tenant=tenant,
            detail={"model": model, "channel": channel, "engine": engine, "channel_taken": taken},
        )
        publication.publish_channels_on_commit(moved)
    return version


def require_room_for(digest: str) -> None:
    if not Version.objects.filter(digest=digest).exists():
        require_room(VERSIONS, Version.objects.all())

"""Manifests of the registry protocol: pushed, which makes versions of them; made of versions that came otherwise; deleted."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction

from models_registry import manifest as manifests
from models_registry import publication
from models_registry.actions.blob import header_of_blob, refuse_beyond_quota
from models_registry.actions.create import image_config_blob
from models_registry.actions.lock import lock_blobs, lock_names, lock_replicas
from models_registry.actions.point import note_move, point_names, release_of
from models_registry.actions.version import hosted_version, require_room_for
from models_registry.distribution.faults import RegistryFault, manifest_invalid, manifest_unknown
from models_registry.distribution.image import PushedImage, digest_of
from models_registry.lifecycle import KEPT_ON_NODES
from models_registry.models import Blob, Channel, Image, Model, Release, Upload, Version
from models_registry.queries.repository import Repository, require_to_push
from ollamamax.audit.actions import record
from ollamamax.identity.actions.grant import forget_object
from ollamamax.identity.bounds import IMAGES, require_room
from ollamamax.identity.rights import require, tenant_of
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.principal import Principal


def push_image(*, acting: Principal, name: str, tag: str, image: PushedImage) -> Image:
    """Take a manifest, all of whose blobs and images are in the repository, and point ``tag`` at the version that it is; empty: no tag.

    A model of one GGUF file becomes a version that nodes serve, everything else an artefact. Safe to repeat.
    Raises `RegistryFault`, `Forbidden`, and `Conflict` for a tag that may not point at it or more than the tenant may have.
    """
    tenant = tenant_of(acting)
    header = _header(require_to_push(acting, name), image)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        repository = require_to_push(acting, name)
        _check(repository, image)
        known = Image.objects.select_related("version").filter(model_id=repository.id, digest=image.digest).first()
        if known is None:
            # A version may have many, which differ in what only people read.
            require_room(IMAGES, Image.objects.all())
            refuse_beyond_quota(len(image.body))
        version = known.version if known is not None else _version(tenant, repository, tag, image, header)
        model, moved = _placed(tenant, repository, tag, version, image.digest, acting)
        made = known or Image.objects.create(
            tenant_id=tenant,
            model=model,
            version=version,
            digest=image.digest,
            media_type=image.media_type,
            body=image.body,
            artifact_type=image.artifact_type,
            subject=image.subject,
            annotations=image.annotations,
        )
        record(
            acting=acting,
            action="image.push",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"model": model.name, "tag": tag, "image": image.digest, "size": image.size},
        )
        publication.publish_channels_on_commit(moved)
    return made


def _header(repository: Repository, image: PushedImage) -> dict[str, Any] | None:
    """What the model's GGUF file says of it; ``None`` for what is no model, or not one that can be read. Reads a file, so it comes before all locks."""
    if image.weights is None or not _ours(repository, {image.weights.digest}):
        return None
    try:
        return header_of_blob(image.weights.digest).as_dict()
    except InvalidRequest as error:
        raise manifest_invalid(error.message) from None


def _ours(repository: Repository, digests: set[str]) -> dict[str, int]:
    """Sizes of those that are in the repository."""
    with tenant_scope(repository.owner):
        held = Blob.objects.filter(pk__in=digests, versions__releases__model_id=repository.id)
        sent = Blob.objects.filter(
            pk__in=digests, uploads__tenant=repository.owner, uploads__repository=repository.model
        )
        return {**dict(held.values_list("digest", "size")), **dict(sent.values_list("digest", "size"))}


def _check(repository: Repository, image: PushedImage) -> None:
    """Raises `RegistryFault` for what the repository lacks, and for blobs of other sizes."""
    lock_blobs(image.needed)
    held = _ours(repository, set(image.needed))
    for digest, size in image.needed.items():
        if digest not in held:
            raise RegistryFault(
                "MANIFEST_BLOB_UNKNOWN", 404, "The repository lacks a blob of this manifest.", digest=digest
            )
        if held[digest] != size:
            raise manifest_invalid(f"{digest} has {held[digest]} bytes, and not {size}.")
    children = {each.digest for each in image.children}
    there = set(Image.objects.filter(model_id=repository.id, digest__in=children).values_list("digest", flat=True))
    if lacking := children - there:
        raise RegistryFault(
            "MANIFEST_BLOB_UNKNOWN", 404, "The repository lacks an image of this index.", digest=min(lacking)
        )


def _version(
    tenant: uuid.UUID, repository: Repository, tag: str, image: PushedImage, header: dict[str, Any] | None
) -> Version:
    name = f"{repository.model}:{tag or 'latest'}"
    if header is not None:
        return hosted_version(tenant, name, header, image.blobs, image.config)
    require_room_for(image.digest)
    layers = [each.as_dict() for each in (*image.blobs, *image.children)]
    version, created = Version.objects.get_or_create(
        tenant_id=tenant,
        digest=image.digest,
        defaults={
            "source": Version.Source.ARTIFACT,
            "manifest": {"schema": 1, "name": name, "media_type": image.media_type, "layers": layers},
            "size": image.size,
            "details": {"artifact_type": image.artifact_type} if image.artifact_type else {},
        },
    )
    if created:
        version.blobs.add(*Blob.objects.filter(pk__in=image.needed))
    Upload.objects.filter(blob_id__in=image.needed, repository=repository.model).delete()
    return version


def _placed(
    tenant: uuid.UUID, repository: Repository, tag: str, version: Version, image: str, acting: Principal
) -> tuple[Model, list[Channel]]:
    if tag:
        moved = point_names(
            tenant, repository.model, [tag], version, by=acting, origin=Release.Origin.PUSHED, image=image
        )
        return moved[0].model, moved
    model, _ = Model.objects.get_or_create(tenant_id=tenant, name=repository.model)
    release_of(model, version, by=acting, origin=Release.Origin.PUSHED)
    return model, []


def image_for(repository: Repository, tag: str) -> Image:
    """The manifest of a version that did not come by the registry protocol, made now and the same for ever. Raises `RegistryFault`."""
    with tenant_scope(repository.owner), transaction.atomic(durable=True):
        lock_names(repository.owner)
        channel = (
            Channel.objects.select_related("version", "model")
            .filter(model_id=repository.id, name=tag, version__source=Version.Source.HOSTED)
            .first()
        )
        if channel is None:
            raise manifest_unknown(tag)
        version = channel.version
        config = manifests.image_config_of(version.manifest)
        if config is None:
            config = image_config_blob(repository.owner, version.details, manifests.layers_of(version.manifest))
            lock_blobs([config.digest])
            version.blobs.add(*Blob.objects.filter(pk=config.digest))
            Upload.objects.filter(blob_id=config.digest).delete()
        body = manifests.image(version.manifest, config)
        made, _ = Image.objects.get_or_create(
            tenant_id=repository.owner,
            model=channel.model,
            digest=digest_of(body),
            defaults={
                "version": version,
                "media_type": manifests.IMAGE,
                "body": body,
                "artifact_type": config.media_type,
            },
        )
    return made


def delete_tag(*, acting: Principal, name: str, tag: str) -> None:
    """Take a tag away; its version stays. Raises `RegistryFault`, and `Forbidden` for a protected one that is not ``acting``'s to delete."""
    tenant = tenant_of(acting)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        repository = require_to_push(acting, name)
        found = Channel.objects.select_related("model", "version").filter(model_id=repository.id, name=tag)
        channel = found.exclude(version__source=Version.Source.EXTERNAL).first()
        if channel is None:
            raise manifest_unknown(tag)
        _take_away(channel, acting)
        record(
            acting=acting,
            action="image.delete_tag",
            target_type="version",
            target_id=channel.version.digest,
            tenant=tenant,
            detail={"model": repository.model, "tag": tag},
        )
        _forget_if_empty(channel.model)


def delete_image(*, acting: Principal, name: str, digest: str) -> None:
    """Forget a manifest with the tags that point at it, and its version where nothing else has that.

    Raises `RegistryFault`, also while the version is one that nodes keep for its stage, and `Forbidden`.
    """
    tenant = tenant_of(acting)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        lock_replicas()
        repository = require_to_push(acting, name)
        image = Image.objects.select_related("model", "version").filter(model_id=repository.id, digest=digest).first()
        if image is None:
            raise manifest_unknown(digest)
        model, version = image.model, image.version
        others = Image.objects.filter(model=model, version=version).exclude(pk=image.pk)
        release = Release.objects.select_related("model", "version").filter(model=model, version=version).first()
        if release is not None and release.stage in KEPT_ON_NODES and not others.exists():
            raise RegistryFault("DENIED", 409, f"The version is {release.stage}: bring it into another stage first.")
        pointing = Channel.objects.select_related("model", "version").filter(model=model, version=version)
        for channel in pointing.filter(image=digest) if others.exists() else pointing:
            _take_away(channel, acting)
        image.delete()
        if release is not None and not others.exists():
            publication.publish_versions_on_commit([release])
            release.delete()
            Version.objects.filter(pk=version.pk, releases=None, channels=None).delete()
        record(
            acting=acting,
            action="image.delete",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"model": model.name, "image": digest},
        )
        _forget_if_empty(model)


def _take_away(channel: Channel, acting: Principal) -> None:
    if channel.protected:
        require(acting, "model.promote", reference("model", channel.model_id))
    publication.publish_channels_on_commit([channel])
    Channel.objects.filter(pk=channel.pk).delete()
    note_move(channel.model, channel.name, channel.version.digest, "", by=acting)


def _forget_if_empty(model: Model) -> None:
    """A model without tags and versions is none."""
    if not model.channels.exists() and not model.releases.exists():
        forget_object("model", model.id)
        Model.objects.filter(pk=model.pk).delete()

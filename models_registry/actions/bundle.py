"""Bundles: models of a tenant written into one signed file, and taken out of one that somebody whom the tenant trusts has signed."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_registry import manifest as manifests
from models_registry import publication
from models_registry.actions.blob import blob_store, refuse_beyond_quota, take_over
from models_registry.actions.create import image_config_blob
from models_registry.actions.job import submit_job
from models_registry.actions.lock import lock_names
from models_registry.actions.point import point_names
from models_registry.actions.version import hosted_version
from models_registry.blob_keys import blob_key, digest_of
from models_registry.bundle import layout, signing
from models_registry.bundle.layout import BundledImage, BundledModel, BundleMember, BundleReader
from models_registry.bundle.signing import BundleInvalid
from models_registry.gguf_header import header_in, kind_in
from models_registry.models import Channel, Job, Model, PromotionPolicy, Release, Upload, Version
from models_registry.queries.blob import find_blob, has_blob
from models_registry.queries.bundle import trusted_signers
from models_registry.queries.model import get_channel
from ollamamax.audit.actions import record
from ollamamax.blobs.reading import open_file
from ollamamax.blobs.staging import Incoming
from ollamamax.identity.rights import require_in_tenant, require_somewhere
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest, NotFound, Unsupported
from ollamamax.kernel.principal import Principal

MOST_CARD = 64 << 10
_MOST_TAGS, _MOST_TAG, _MOST_LICENCE = 50, 100, 100
Tell = Callable[[str, str, int, int], None]
"""Is told what is done with a blob: in words, its digest, its size, how many bytes are done; and raises when the work is to stop."""


def export_bundle(*, acting: Principal, channel_ids: Sequence[uuid.UUID]) -> list[BundleMember]:
    """What a bundle of these channels is made of, in its order: `bundle_bytes` sends it.

    Raises `NotFound`, and `Unsupported` for what is not the registry's own.
    """
    tenant = require_somewhere(acting, "model.view")
    with tenant_scope(tenant):
        channels = [get_channel(acting, each) for each in dict.fromkeys(channel_ids)]
        found = [_image_of(tenant, model, version, tags) for model, version, tags in _by_version(channels)]
    index = layout.index_of(found)
    members = layout.members_of(found, signing.sign(settings.SECRET_KEY, index), index)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        record(
            acting=acting,
            action="bundle.export",
            target_type="bundle",
            target_id=layout.digest_of(index),
            tenant=tenant,
            detail={"models": _names(found), "size": layout.size_of(members)},
        )
    return members


def _by_version(channels: Sequence[Channel]) -> Iterator[tuple[Model, Version, list[str]]]:
    tags: dict[tuple[uuid.UUID, uuid.UUID], list[str]] = {}
    whole: dict[tuple[uuid.UUID, uuid.UUID], Channel] = {}
    for each in channels:
        if each.version.source != Version.Source.HOSTED:
            raise Unsupported(f"'{each.model.name}:{each.name}' is not the registry's own: it cannot be bundled.")
        tags.setdefault((each.model_id, each.version_id), []).append(each.name)
        whole[each.model_id, each.version_id] = each
    for key, each in whole.items():
        yield each.model, each.version, sorted(tags[key])


def _image_of(tenant: uuid.UUID, model: Model, version: Version, tags: list[str]) -> BundledImage:
    config = manifests.image_config_of(version.manifest)
    if config is None:
        config = image_config_blob(tenant, version.details, manifests.layers_of(version.manifest))
    facts = BundledModel(model.name, tags, version.digest, model.card, model.licence, list(model.tags))
    return BundledImage(facts, manifests.image(version.manifest, config, manifests.OCI_IMAGE), version.manifest)


def bundle_bytes(members: Sequence[BundleMember]) -> Iterator[bytes]:
    """The file, piece by piece. Raises `Missing` for a blob that is not there any more. Blocks."""
    for each in members:
        yield each.header
        if each.data is not None:
            yield each.data
        else:
            with contextlib.closing(blob_store().open_range(blob_key(each.digest))) as pieces:
                yield from pieces
        if each.padding:
            yield each.padding
    yield layout.END


def order_import(*, acting: Principal, digest: str) -> Job:
    """Take in the bundle that was sent as this blob, by a job. Raises `InvalidRequest` for one that was not sent."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant):
        if not has_blob(digest):
            raise InvalidRequest(f"The bundle {digest} was not sent, or is forgotten: send it first.", param="digest")
    return submit_job(acting=acting, kind=Job.Kind.IMPORT, model=f"bundle@{digest}", request={"bundle": digest})


def import_bundle(*, acting: Principal, digest: str, tell: Tell) -> list[str]:
    """Make the bundle's versions the tenant's, and point its channels at them: all, after every byte was verified, or none. Safe to repeat.

    Raises `BundleInvalid`, `SignerNotTrusted`, `TooLarge`, `Conflict`, `Forbidden` for a protected channel, and what ``tell`` raises.
    """
    tenant = require_in_tenant(acting, "model.manage")
    staged: dict[str, Incoming] = {}
    taken: list[str] = []
    with tenant_scope(tenant):
        try:
            found = _verified(digest, staged, tell)
            for each, incoming in staged.items():
                take_over(tenant=tenant, staged=incoming, digest=each, size=incoming.size)
                taken.append(each)
            with transaction.atomic(durable=True):
                lock_names(tenant)
                moved = [channel for each in found for channel in _place(tenant, each, acting)]
                Upload.objects.filter(blob_id=digest).delete()
                record(
                    acting=acting,
                    action="bundle.import",
                    target_type="bundle",
                    target_id=digest,
                    tenant=tenant,
                    detail={"models": _names(found)},
                )
                publication.publish_channels_on_commit(moved)
        except BaseException:
            Upload.objects.filter(blob_id__in=taken, repository="").delete()
            raise
        finally:
            for incoming in staged.values():
                incoming.discard()
    return _names(found)


def forget_bundle(*, acting: Principal, digest: str) -> None:
    """What was sent in vain goes, unless the tenant sent or has it for something else."""
    tenant = require_in_tenant(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        Upload.objects.filter(blob_id=digest).delete()
        record(
            acting=acting,
            action="bundle.refuse",
            target_type="bundle",
            target_id=digest,
            tenant=tenant,
            detail={},
        )


def _verified(digest: str, staged: dict[str, Incoming], tell: Tell) -> list[BundledImage]:
    """What is in the bundle; its bytes are in ``staged`` then, but for those that the tenant has."""
    blob = find_blob(digest)
    if blob is None:
        raise NotFound("The bundle is not there any more: send it again.")
    with open_file(blob_store(), blob_key(digest)) as file:
        reader = BundleReader(file, blob.size)
        signing.check(reader.signature, reader.index, _trusted())
        found = reader.images()
        for each in found:
            _check(each, reader)
        kept = {name for each in found for name in each.kept}
        for name in {name for each in found for name in each.needed} - kept:
            reader.small_blob(name)
        needed = {name: size for each in found for name, size in each.kept.items() if not has_blob(name)}
        refuse_beyond_quota(sum(needed.values()))
        blob_store().staging.require_free(sum(needed.values()))
        for name, size in needed.items():
            staged[name] = blob_store().staging.receive()
            _stage(reader, name, size, staged[name], tell)
    return found


def _trusted() -> set[str]:
    own = signing.public_key(settings.SECRET_KEY)
    return {own, *(each["key"] for each in trusted_signers())}


def _stage(reader: BundleReader, digest: str, size: int, incoming: Incoming, tell: Tell) -> None:
    words = f"verifying {digest.removeprefix('sha256:')[:12]}"
    tell(words, digest, size, 0)
    for piece in reader.pieces(digest):
        incoming.write(piece)
        tell(words, digest, size, incoming.size)
    incoming.finish()
    if digest_of(incoming) != digest:
        raise BundleInvalid(f"{digest} has other bytes: the bundle is damaged.")


def _check(found: BundledImage, reader: BundleReader) -> None:
    """What its signer says of a version is what its files say."""
    facts = found.facts
    large = len(facts.card) > MOST_CARD or len(facts.licence) > _MOST_LICENCE or len(facts.tags) > _MOST_TAGS
    if large or any(len(tag) > _MOST_TAG for tag in facts.tags) or not facts.channels:
        raise BundleInvalid("What the bundle says of a model is too long, or it names no channel.")
    try:
        for full in (found.manifest["name"], *(f"{facts.name}:{tag}" for tag in facts.channels)):
            manifests.split_name(full)
        for layer in found.layers:
            if layer.media_type in manifests.TEXTS and layer.size > manifests.MOST_TEXT:
                raise BundleInvalid("A text of the bundle is too large.")
            if layer.media_type == manifests.ADAPTER and kind_in(reader.opened(layer.digest), "adapter") != "adapter":
                raise BundleInvalid("An adapter of the bundle is none.")
            if manifests.is_weights(layer.media_type):
                _check_header(found.manifest["config"], header_in(reader.opened(layer.digest), "weights").as_dict())
    except BundleInvalid:
        raise
    except InvalidRequest as error:
        raise BundleInvalid(f"The bundle holds what cannot be: {error.message}") from None


def _check_header(said: dict[str, Any], real: dict[str, Any]) -> None:
    if any(said[name] != value for name, value in real.items() if name in said):
        raise BundleInvalid("What the bundle says of a model's weights is not what they say.")


def _place(tenant: uuid.UUID, found: BundledImage, acting: Principal) -> list[Channel]:
    facts, manifest = found.facts, found.manifest
    version = hosted_version(
        tenant, manifest["name"], manifest["config"], found.layers, manifests.image_config_of(manifest)
    )
    if version.digest != facts.version:
        raise BundleInvalid("A manifest of the bundle says more than a version's does.")
    moved = point_names(
        tenant, facts.name, facts.channels, version, by=acting, origin=Release.Origin.BUNDLE, reason="from a bundle"
    )
    model = moved[0].model
    if not (model.card or model.licence or model.tags):
        Model.objects.filter(pk=model.pk).update(card=facts.card, licence=facts.licence, tags=facts.tags)
    return moved


def _names(found: Sequence[BundledImage]) -> list[str]:
    return [f"{each.facts.name}:{tag}" for each in found for tag in each.facts.channels]


def set_trusted_signers(*, acting: Principal, signers: Sequence[dict[str, str]]) -> None:
    """Whose bundles the tenant takes besides this installation's own: ``name`` and ``key`` of each. Repeated, nothing happens."""
    tenant = require_in_tenant(acting, "member.manage")
    wanted = [{"name": each["name"], "key": each["key"]} for each in signers]
    if len({each["key"] for each in wanted}) != len(wanted):
        raise InvalidRequest("A key is there twice.", param="signers")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        before = trusted_signers()
        if before == wanted:
            return
        PromotionPolicy.objects.update_or_create(
            tenant_id=tenant, defaults={"trusted_signers": wanted, "changed_at": timezone.now()}
        )
        record(
            acting=acting,
            action="tenant.set_signers",
            target_type="tenant",
            target_id=tenant,
            tenant=tenant,
            detail={"before": before, "after": wanted},
        )

"""Reads the versions of a model, the moves of its channels, and promotions that wait."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Prefetch, QuerySet

from models_registry import manifest as manifests
from models_registry.blob_keys import blob_key
from models_registry.compare import Compared, Difference, differences
from models_registry.lifecycle import ReleaseStage, what_holds
from models_registry.models import Channel, ChannelMove, Promotion, PromotionPolicy, Release, Rollout, Version
from models_registry.queries.model import get_channel
from models_registry.rollout.plan import OPEN
from ollamamax.blobs.reading import read_bytes
from ollamamax.blobs.store import Store
from ollamamax.identity.queries.role import restrict
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

_SEEN = ("model.view", "model.manage")


def releases(acting: Principal, channel_id: uuid.UUID) -> QuerySet[Release]:
    """The versions of the model that has this channel, the newest first, with replicas, channels and promotions. Raises `NotFound`."""
    return _whole(Release.objects.filter(model_id=get_channel(acting, channel_id).model_id))


def get_release(acting: Principal, release_id: uuid.UUID) -> Release:
    """Raises `NotFound`, also for a version of a model that ``acting`` may not see."""
    found = restrict(acting, _SEEN, "model", _whole(Release.objects.filter(pk=release_id)), "model").first()
    if found is None:
        raise NotFound("There is no such version.")
    return found


def lock_release(acting: Principal, release_id: uuid.UUID) -> Release:
    """As `get_release`, for a transaction that changes it."""
    Release.objects.select_for_update().filter(pk=release_id).first()
    return get_release(acting, release_id)


def release_in(channel: Channel, digest: str) -> Release:
    """The version of the channel's model with this digest. Raises `NotFound`."""
    found = Release.objects.select_related("model", "version").filter(model_id=channel.model_id, version__digest=digest)
    if (release := found.first()) is None:
        raise NotFound(f"'{channel.model.name}' has no version {digest}.")
    return release


def _whole(found: QuerySet[Release]) -> QuerySet[Release]:
    return (
        found.select_related("model", "version")
        .prefetch_related(
            "version__replicas__node",
            Prefetch("version__channels", Channel.objects.select_related("model").order_by("name")),
            Prefetch("model__channels__rollouts", Rollout.objects.filter(state__in=OPEN)),
            Prefetch("promotions", Promotion.objects.filter(state=Promotion.State.OPEN)),
        )
        .order_by("-id")
    )


def channels_of(acting: Principal, channel_id: uuid.UUID) -> QuerySet[Channel]:
    """The channels of the model that has this one, the newest first. Raises `NotFound`."""
    known = get_channel(acting, channel_id)
    return Channel.objects.filter(model_id=known.model_id).select_related("version").order_by("-id")


def channels_at(release: Release) -> list[str]:
    """The channels of its own model that point at it, in order."""
    return sorted(each.name for each in release.version.channels.all() if each.model_id == release.model_id)


def moved_to(release: Release) -> list[str]:
    """The channels of its model whose rollouts under way begin at it or lead to it, in order."""
    digest = release.version.digest
    channels: Any = release.model.channels.all()
    return sorted(
        channel.name
        for channel in channels
        for rollout in channel.rollouts.all()
        if digest in (rollout.from_version, rollout.to_version)
    )


def uses_of_release(release: Release) -> list[str]:
    """Why it cannot be deleted; none when it can."""
    stage = ReleaseStage(release.stage)
    return what_holds(channels_at(release), stage, len(release.promotions.all()), moved_to(release))


def moves(acting: Principal, channel_id: uuid.UUID) -> QuerySet[ChannelMove]:
    """Of all channels of the model, the newest first. Raises `NotFound`."""
    return ChannelMove.objects.filter(model_id=get_channel(acting, channel_id).model_id).order_by("-id")


def promotions(acting: Principal) -> QuerySet[Promotion]:
    """Of models that ``acting`` may see, the newest first."""
    found = Promotion.objects.select_related("release__model", "release__version")
    return restrict(acting, _SEEN, "model", found.order_by("-id"), "release__model")


def get_promotion(acting: Principal, promotion_id: uuid.UUID) -> Promotion:
    """Raises `NotFound`."""
    found = promotions(acting).filter(pk=promotion_id).first()
    if found is None:
        raise NotFound("There is no such promotion.")
    return found


def approvals_needed() -> int:
    """How many others must approve in the tenant in scope."""
    policy = PromotionPolicy.objects.first()
    return policy.approvals if policy is not None else 0


def compare(store: Store, before: Version, after: Version) -> list[Difference]:
    """What differs; texts are read from the store."""
    return differences(_compared(store, before), _compared(store, after))


def _compared(store: Store, version: Version) -> Compared:
    layers = manifests.layers_of(version.manifest) if version.source == Version.Source.HOSTED else []
    texts = {
        layer.digest: read_bytes(store, blob_key(layer.digest))
        for layer in layers
        if layer.media_type in manifests.TEXTS
    }
    return Compared(version.size, version.details, layers, texts)

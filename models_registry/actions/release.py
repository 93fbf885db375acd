"""Versions of a model: their stage, the channels that are moved to them and back, and their removal."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from models_registry import publication
from models_registry.actions.lock import lock_names, lock_replicas
from models_registry.actions.point import point_names
from models_registry.lifecycle import KEPT_ON_NODES, AskedPromotion, ReleaseStage, check_step, is_promoters
from models_registry.models import Channel, ChannelMove, Promotion, Release, Version
from models_registry.promotion_needs import require_needs
from models_registry.queries.model import get_channel
from models_registry.queries.release import (
    approvals_needed,
    channels_at,
    lock_release,
    moved_to,
    release_in,
    uses_of_release,
)
from models_registry.queries.rollout import open_rollout_of
from ollamamax.audit.actions import record
from ollamamax.identity.queries.key import person_behind
from ollamamax.identity.queries.service_account import is_program
from ollamamax.identity.rights import require, require_somewhere, tenant_of
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.principal import Principal


def change_stage(*, acting: Principal, release_id: uuid.UUID, stage: str, reason: str = "") -> Release:
    """Bring a version into another stage. Into production it goes when as many others approved as the tenant asks for: until then this asks for it.

    Raises `NotFound`, `Forbidden`, and `Conflict` for a stage that does not follow, a version that lacks what promotion asks for, or what was
    asked for already.
    """
    tenant = tenant_of(acting)
    wanted = ReleaseStage(stage)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        release = lock_release(acting, release_id)
        held = ReleaseStage(release.stage)
        if held == wanted:
            return release
        permission = "model.promote" if is_promoters(held, wanted) else "model.manage"
        require(acting, permission, reference("model", release.model_id))
        check_step(held, wanted, channels_at(release))
        if wanted not in KEPT_ON_NODES and (moving := moved_to(release)):
            raise Conflict(f"A rollout of {', '.join(moving)} has it: end that first.", param="stage", channels=moving)
        if wanted == ReleaseStage.PRODUCTION:
            require_needs(release)
        needed = approvals_needed() if wanted == ReleaseStage.PRODUCTION else 0
        person = person_behind(acting)
        if needed and (person is None or is_program(person)):
            needed += 1  # no person asks, whoever has the key: they might be the one who approves
        asked = AskedPromotion(str(person or acting.id), needed)
        if asked.missing:
            if release.promotions.all():
                raise Conflict("It was asked for already: others must approve it now.", param="stage")
            Promotion.objects.create(
                tenant_id=tenant,
                release=release,
                reason=reason,
                needed=needed,
                person=asked.person,
                by_name=acting.name,
            )
        else:
            enter_stage(release, wanted)
        record(
            acting=acting,
            action="version.ask_promotion" if asked.missing else "version.change_stage",
            target_type="version",
            target_id=release.version.digest,
            tenant=tenant,
            detail={"model": release.model.name, "from": held, "to": wanted, "reason": reason},
        )
    return release


def enter_stage(release: Release, stage: ReleaseStage) -> None:
    """Within the transaction of who decided it."""
    release.stage = stage
    release.stage_changed_at = timezone.now()
    release.save(update_fields=["stage", "stage_changed_at"])
    ended = Promotion.State.DONE if stage == ReleaseStage.PRODUCTION else Promotion.State.REJECTED
    Promotion.objects.filter(release=release, state=Promotion.State.OPEN).update(state=ended, ended_at=timezone.now())
    channels = Channel.objects.filter(model_id=release.model_id, version_id=release.version_id)
    publication.publish_channels_on_commit(channels.select_related("model", "version"))
    publication.publish_versions_on_commit([release])


def move_channel(*, acting: Principal, channel_id: uuid.UUID, version: str, reason: str = "") -> Channel:
    """Point a channel at another version of its model, which counts for new requests within a second. Repeated, nothing happens.

    Raises `NotFound`, `Forbidden`, and `Conflict` for a version that the channel may not point at.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        channel = get_channel(acting, channel_id)
        require(acting, "model.manage", reference("model", channel.model_id))
        before = channel.version.digest
        release = release_in(channel, version)
        if release.version_id == channel.version_id:
            return channel
        if open_rollout_of(channel) is not None:
            raise Conflict(f"A rollout moves '{channel.name}': roll that back, or advance it.", param="version")
        [moved] = point_names(
            tenant, channel.model.name, [channel.name], release.version, by=acting, reason=reason, origin=release.origin
        )
        record(
            acting=acting,
            action="channel.move",
            target_type="channel",
            target_id=channel.id,
            tenant=tenant,
            detail={
                "model": channel.model.name,
                "channel": channel.name,
                "from": before,
                "to": version,
                "reason": reason,
            },
        )
        publication.publish_channels_on_commit([moved])
    return moved


def roll_back(*, acting: Principal, channel_id: uuid.UUID, reason: str = "") -> Channel:
    """Point a channel at the version that it pointed at before. Raises `Conflict` where there is none, and what `move_channel` raises."""
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant):
        channel = get_channel(acting, channel_id)
        last = (
            ChannelMove.objects.filter(
                model_id=channel.model_id, channel=channel.name, to_version=channel.version.digest
            )
            .exclude(from_version="")
            .order_by("-id")
            .first()
        )
        there = last and Release.objects.filter(model_id=channel.model_id, version__digest=last.from_version).exists()
    if last is None or not there:
        raise Conflict(f"'{channel.name}' has pointed at no other version that is there still.")
    return move_channel(acting=acting, channel_id=channel_id, version=last.from_version, reason=reason)


def make_channel(*, acting: Principal, channel_id: uuid.UUID, name: str, version: str, reason: str = "") -> Channel:
    """A further channel of a model, at one of its versions. Raises `Conflict` where there is one of this name."""
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        known = get_channel(acting, channel_id)
        require(acting, "model.manage", reference("model", known.model_id))
        if Channel.objects.filter(model_id=known.model_id, name=name).exists():
            raise Conflict(f"The model has a channel '{name}' already.", param="name")
        release = release_in(known, version)
        [made] = point_names(
            tenant, known.model.name, [name], release.version, by=acting, reason=reason, origin=release.origin
        )
        record(
            acting=acting,
            action="channel.create",
            target_type="channel",
            target_id=made.id,
            tenant=tenant,
            detail={"model": known.model.name, "channel": name, "to": version, "reason": reason},
        )
        publication.publish_channels_on_commit([made])
    return made


def protect_channel(*, acting: Principal, channel_id: uuid.UUID, protected: bool) -> None:
    """Let a channel take versions in production only, moved by those who may promote; or end that.

    Raises `NotFound`, `Forbidden`, and `Conflict` while it points at a version that is not in production, and while a rollout is under way, whose
    version need not be, and which may have been begun by somebody who may not promote.
    """
    tenant = require_somewhere(acting, "model.promote")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        channel = get_channel(acting, channel_id)
        require(acting, "model.promote", reference("model", channel.model_id))
        if channel.protected == protected:
            return
        stage = release_in(channel, channel.version.digest).stage
        if protected and stage != ReleaseStage.PRODUCTION:
            raise Conflict(
                f"'{channel.name}' points at a version that is {stage}: promote that first.", param="protected"
            )
        if protected and open_rollout_of(channel) is not None:
            raise Conflict(f"A rollout of '{channel.name}' is under way: end that first.", param="protected")
        channel.protected = protected
        channel.save(update_fields=["protected"])
        record(
            acting=acting,
            action="channel.protect" if protected else "channel.unprotect",
            target_type="channel",
            target_id=channel.id,
            tenant=tenant,
            detail={"model": channel.model.name, "channel": channel.name},
        )


def delete_release(*, acting: Principal, release_id: uuid.UUID) -> None:
    """Forget a version of a model; its bytes go when no other model has it. Raises `NotFound`, and `Conflict` that says what uses it."""
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        lock_names(tenant)
        lock_replicas()
        release = lock_release(acting, release_id)
        require(acting, "model.manage", reference("model", release.model_id))
        if uses := uses_of_release(release):
            raise Conflict(f"It cannot be deleted: {', '.join(uses)}.", uses=uses)
        version = release.version
        publication.publish_versions_on_commit([release])
        release.delete()
        release.model.images.filter(version=version).delete()
        Version.objects.filter(pk=version.pk, releases=None, channels=None).delete()
        record(
            acting=acting,
            action="version.delete",
            target_type="version",
            target_id=version.digest,
            tenant=tenant,
            detail={"model": release.model.name},
        )

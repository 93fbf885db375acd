"""Points channels of a model at a version, within the transaction and under the lock of the names of who calls."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.utils import timezone

from models_registry.lifecycle import ReleaseStage, check_target
from models_registry.models import Channel, ChannelMove, Model, Release, Version
from ollamamax.identity.bounds import MODELS, require_room
from ollamamax.identity.rights import require
from ollamamax.identity.roles import reference
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.principal import Principal

PINNED = "@sha256"
"""What stands before the colon where a name means one version: a name that ends so would be taken for one."""
MOST_REASON = 500


def point_names(
    tenant: uuid.UUID,
    model: str,
    channels: Sequence[str],
    version: Version,
    *,
    by: Principal,
    origin: str = Release.Origin.PUBLISHED,
    reason: str = "",
    image: str = "",
) -> list[Channel]:
    """Make those that are missing, and note every move. ``image``: the digest of the manifest that was pushed.

    Raises `Conflict` for more names than the tenant may have and for a version that a channel may not point at, and `Forbidden` where ``by`` may not
    move a protected one.
    """
    if model.lower().endswith(PINNED):
        raise InvalidRequest(f"A model's name cannot end in '{PINNED}'.", param="name")
    names = list(dict.fromkeys(channels))
    held = {
        each.name: each for each in Channel.objects.filter(model__name=model, name__in=names).select_related("version")
    }
    if fresh := len(names) - len(held):
        require_room(MODELS, Channel.objects.all(), fresh)
    named, _ = Model.objects.get_or_create(tenant_id=tenant, name=model)
    release = release_of(named, version, by=by, origin=origin)
    moved = []
    for name in names:
        before = held.get(name)
        changes = before is None or before.version_id != version.id
        if changes:
            check_target(name, before is not None and before.protected, ReleaseStage(release.stage))
        if changes and before is not None and before.protected:
            require(by, "model.promote", reference("model", named.id))
        channel, _ = Channel.objects.update_or_create(
            tenant_id=tenant,
            model=named,
            name=name,
            defaults={"version": version, "image": image, "moved_at": timezone.now()},
        )
        if changes:
            note_move(named, name, before.version.digest if before else "", version.digest, by=by, reason=reason)
        moved.append(channel)
    return moved


def release_of(model: Model, version: Version, *, by: Principal, origin: str) -> Release:
    """The version in the model, which has it from now on if it had not."""
    found, _ = Release.objects.get_or_create(
        tenant_id=model.tenant_id,
        model=model,
        version=version,
        defaults={"origin": origin, "by_kind": by.kind, "by_id": by.id, "by_name": by.name},
    )
    return found


def note_move(model: Model, channel: str, before: str, after: str, *, by: Principal, reason: str = "") -> None:
    ChannelMove.objects.create(
        tenant_id=model.tenant_id,
        model=model,
        channel=channel,
        from_version=before,
        to_version=after,
        reason=reason[:MOST_REASON],
        by_kind=by.kind,
        by_id=by.id,
        by_name=by.name,
    )

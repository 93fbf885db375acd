"""What a tenant decides about how one of its models is served."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from django.db import transaction

from models_registry import publication
from models_registry.fallback import checked
from models_registry.models import Channel, Model
from models_registry.queries import alias as aliases
from ollamamax.audit.actions import record
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import Fallback
from ollamamax.identity.rights import require, require_somewhere
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def set_profile(
    *,
    acting: Principal,
    channel_id: uuid.UUID,
    profile: Mapping[str, Any] | None = None,
    fallbacks: Sequence[Fallback] | None = None,
) -> None:
    """Change fields of the profile, and the fallbacks, of the model that has this name; both count for all of its names.

    What is left out, or is so already, stays. Raises `NotFound`, `Forbidden`, and `InvalidRequest` for values that cannot be.
    """
    tenant = require_somewhere(acting, "model.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        model = Model.objects.select_for_update(of=("self",)).filter(channels__id=channel_id).first()
        if model is None:
            raise NotFound("There is no such model.")
        require(acting, "model.manage", reference("model", model.id))
        channels = list(Channel.objects.select_related("model", "version").filter(model=model))
        before = {"profile": model.profile, "fallbacks": model.fallbacks}
        if profile is not None:
            model.profile = msgspec.to_builtins(_changed(model.profile, profile, channels))
        if fallbacks is not None:
            stand_ins = checked((f"{model.name}:{channel.name}" for channel in channels), fallbacks)
            aliases.require_known(each.model for each in stand_ins)
            model.fallbacks = msgspec.to_builtins(stand_ins)
        after = {"profile": model.profile, "fallbacks": model.fallbacks}
        if after == before:
            return
        model.save(update_fields=["profile", "fallbacks"])
        record(
            acting=acting,
            action="model.configure",
            target_type="model",
            target_id=model.id,
            tenant=tenant,
            detail={"name": model.name, "before": before, "after": after},
        )
        publication.publish_channels_on_commit(channels)


def _changed(held: Mapping[str, Any], changes: Mapping[str, Any], channels: list[Channel]) -> Profile:
    profile = msgspec.structs.replace(msgspec.convert(held, Profile), **changes)
    for channel in channels:
        most = channel.version.details.get("context_length")
        if profile.num_ctx is not None and most and profile.num_ctx > most:
            raise InvalidRequest(
                f"'num_ctx' is {profile.num_ctx}; {channel.model.name}:{channel.name} has at most {most}.",
                param="profile.num_ctx",
            )
    return profile

"""Points names of a model at a version, within the transaction and under the lock of the names of who calls."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.utils import timezone

from models_registry.models import Channel, Model, Version
from ollamamax.identity.bounds import MODELS, require_room


def point_names(tenant: uuid.UUID, model: str, channels: Sequence[str], version: Version) -> list[Channel]:
    """Make those that are missing. Raises `Conflict` for more names than the tenant may have."""
    names = list(dict.fromkeys(channels))
    known = set(Channel.objects.filter(model__name=model, name__in=names).values_list("name", flat=True))
    if fresh := len(names) - len(known):
        require_room(MODELS, Channel.objects.all(), fresh)
    named, _ = Model.objects.get_or_create(tenant_id=tenant, name=model)
    return [
        Channel.objects.update_or_create(
            tenant_id=tenant, model=named, name=name, defaults={"version": version, "moved_at": timezone.now()}
        )[0]
        for name in names
    ]

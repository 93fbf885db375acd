"""Reads models with their channels, versions and replicas."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from models_registry.manifest import split_name
from models_registry.models import Channel
from ollamamax.kernel.errors import NotFound


def channels() -> QuerySet[Channel]:
    """Every name of the tenant in scope, with model, version and replicas. Queries: 2."""
    return (
        Channel.objects.select_related("model", "version")
        .prefetch_related("version__replicas__node")
        .order_by("model__name", "name")
    )


def get_channel(channel_id: uuid.UUID) -> Channel:
    """A name of the tenant in scope. Raises `NotFound`."""
    found = channels().filter(id=channel_id).first()
    if found is None:
        raise NotFound("There is no such model.")
    return found


def has_channel(full_name: str) -> bool:
    """Whether the tenant in scope has this ``name:tag``."""
    model, channel = split_name(full_name)
    return Channel.objects.filter(model__name=model, name=channel).exists()

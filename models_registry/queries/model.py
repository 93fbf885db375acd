"""Reads models with their channels, versions and replicas."""

from __future__ import annotations

from django.db.models import QuerySet

from models_registry.manifest import split_name
from models_registry.models import Channel, Version
from ollamamax.kernel.errors import ModelNotFound


def channels() -> QuerySet[Channel]:
    """Every name of the tenant in scope, with model, version and replicas. Queries: 2."""
    return (
        Channel.objects.select_related("model", "version")
        .prefetch_related("version__replicas__node")
        .order_by("model__name", "name")
    )


def has_channel(full_name: str) -> bool:
    """Whether the tenant in scope has this ``name:tag``."""
    model, channel = split_name(full_name)
    return Channel.objects.filter(model__name=model, name=channel).exists()


def find_channel(full_name: str) -> Channel:
    """The name of the tenant in scope, with model and version. Raises `ModelNotFound`, `InvalidRequest`. Queries: 1."""
    model, channel = split_name(full_name)
    found = Channel.objects.select_related("model", "version").filter(model__name=model, name=channel).first()
    if found is None:
        raise ModelNotFound(f"model '{full_name}' not found", param="model", model=full_name)
    return found


def is_kept_by_engines(full_name: str) -> bool:
    """Whether this is the last name of a model that engines keep by themselves: to delete it is their affair.

    Raises `ModelNotFound`. Queries: 2.
    """
    version = find_channel(full_name).version
    return version.source == Version.Source.EXTERNAL and version.channels.count() == 1

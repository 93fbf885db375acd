"""Reads models with their channels, versions and replicas."""

from __future__ import annotations

from django.db.models import QuerySet

from models_registry.models import Channel


def channels() -> QuerySet[Channel]:
    """Every name of the tenant in scope, with model, version and replicas. Queries: 2."""
    return (
        Channel.objects.select_related("model", "version")
        .prefetch_related("version__replicas__node")
        .order_by("model__name", "name")
    )

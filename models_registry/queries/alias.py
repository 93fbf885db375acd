"""Reads aliases."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db.models import QuerySet

from models_registry.models import Alias
from models_registry.queries.model import has_channel, is_shared
from ollamamax.kernel.errors import InvalidRequest, NotFound


def aliases() -> QuerySet[Alias]:
    """The aliases of the tenant in scope."""
    return Alias.objects.all()


def get_alias(alias_id: uuid.UUID) -> Alias:
    """Raises `NotFound`, for an alias of another tenant too."""
    alias = aliases().filter(pk=alias_id).first()
    if alias is None:
        raise NotFound("There is no such alias.")
    return alias


def is_alias(full_name: str) -> bool:
    return aliases().filter(name=full_name).exists()


def require_known(names: Iterable[str]) -> None:
    """Raises `InvalidRequest` for the first full name that is no model and no alias for the tenant in scope."""
    for name in names:
        if not has_channel(name) and not is_alias(name) and not is_shared(name):
            raise InvalidRequest(f"There is no model '{name}' to fall back to.", param="fallbacks")

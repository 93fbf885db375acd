"""Work in a table that several processes take up: claimed by one conditional update, renewed, given back.

The rows have ``runner``, ``lease_until``, ``tenant`` and ``created_at``. Every later write of a runner names it, and changes nothing once another
has claimed the row.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any, TypeVar

from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Now

M = TypeVar("M", bound=models.Model)
LEASE = datetime.timedelta(seconds=10)
"""How long a runner may say nothing before its work is anybody's."""


def claim(unfinished: QuerySet[M], runner: str, *, of_one_tenant: int, **changes: Any) -> uuid.UUID | None:
    """The oldest of ``unfinished`` that nobody works on becomes this runner's, with ``changes``; its primary key. In a transaction.

    A runner holds ``of_one_tenant`` of a tenant at most, so that one with many does not keep others waiting. Queries: 2.
    """
    own = unfinished.filter(runner=runner, lease_until__gt=Now()).values("tenant")
    full = own.annotate(held=models.Count("pk")).filter(held__gte=of_one_tenant).values("tenant")
    free = unfinished.filter(models.Q(lease_until=None) | models.Q(lease_until__lte=Now()))
    found = free.exclude(tenant__in=full).order_by("created_at", "pk").select_for_update(skip_locked=True).first()
    if found is None:
        return None
    unfinished.filter(pk=found.pk).update(runner=runner, lease_until=Now() + LEASE, **changes)
    key: uuid.UUID = found.pk
    return key


def renew(wanted: QuerySet[M], runner: str) -> QuerySet[M]:
    """Those of ``wanted`` that are still this runner's, for a while longer. Queries: 1, and 1 where they are read."""
    held = wanted.filter(runner=runner)
    held.update(lease_until=Now() + LEASE)
    return held


def give_back(held: QuerySet[M], runner: str, **changes: Any) -> None:
    """Another runner may take these up at once. Queries: 1."""
    held.filter(runner=runner).update(runner="", lease_until=None, **changes)

"""Which rows end, and how long they are kept after that. Every context adds its own; `actions.retention` removes them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.deletion import PROTECT

ENDED = "OLLAMAMAX_ENDED_DAYS"


@dataclass(frozen=True)
class ExpiringRows:
    """``ended`` gives the rows of all tenants that had ended before a moment; ``setting`` the days for which they are kept.

    ``noun`` is the target of the audit record, and is empty for what belongs to no tenant, which leaves none.
    """

    noun: str
    setting: str
    ended: Callable[[datetime.datetime], QuerySet[Any]]


ENDINGS: list[ExpiringRows] = []


def unneeded(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of ``rows`` that no row of another table still needs: as a key, whose batch is still kept."""
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if relation.auto_created and not relation.concrete and getattr(relation, "on_delete", None) is PROTECT:
            pointing = relation.related_model._base_manager.filter(**{relation.field.name: OuterRef("pk")})
            rows = rows.filter(~Q(Exists(pointing)))
    return rows

"""What a tenant takes with it when it goes, and what goes with it. Every context adds here what only it knows; rows with a tenant are found by themselves."""

from __future__ import annotations

import graphlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models

from ollamamax.identity.models import Tenant


@dataclass(frozen=True)
class ExportedRows:
    """One file of a tenant's export, ``<name>.jsonl``: ``rows`` of the tenant in scope, of which ``columns`` are given.

    A column is a field or a path over relations, by the name that it has in the file. A secret, and what is made of one, is never among them.
    """

    name: str
    rows: Callable[[], models.QuerySet[Any]]
    columns: Mapping[str, str]


EXPORTS: list[ExportedRows] = []

RemoveSlice = Callable[[uuid.UUID, int], int]
"""Removes at most so many things of the tenant in scope, in the transaction that there is; returns how many that were."""
BEFORE_ROWS: list[RemoveSlice] = []
"""What has to be undone before the rows that tell of it are gone, as the users that nodes have in Redis."""

Forget = Callable[[uuid.UUID], None]
AFTER_ROWS: list[Forget] = []
"""What lies outside Postgres, once no row is left. Outside of a transaction; raises for what has to be tried again."""


def exported(file: str, rows: Callable[[], models.QuerySet[Any]], *fields: str, **paths: str) -> None:
    """When the programs start: add ``file`` to the export. ``fields`` go by their own name, ``paths`` by another."""
    EXPORTS.append(ExportedRows(file, rows, {each: each for each in fields} | paths))


def owned_models() -> list[type[models.Model]]:
    """Every table with a tenant, so that no row of one is needed by a row of one after it."""
    owned = [
        model
        for model in apps.get_models()
        if any(field.name == "tenant" and field.related_model is Tenant for field in model._meta.fields)
    ]
    order: graphlib.TopologicalSorter[type[models.Model]] = graphlib.TopologicalSorter()
    for model in sorted(owned, key=lambda each: each._meta.label):
        order.add(model)
        for field in model._meta.fields:
            needed: Any = field.related_model
            if needed in owned and needed is not model:
                order.add(needed, model)
    return list(order.static_order())

"""Reads of files."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from typing import TypeVar

from django.db import models
from django.db.models import Exists, OuterRef, Sum

from ollamamax.batches.models import Batch, File
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import NotFound

T = TypeVar("T", bound=models.Model)


def get_file(tenant: str, file_id: uuid.UUID | None) -> File:
    """A file of the tenant. Raises `NotFound`."""
    with tenant_scope(tenant):
        found = File.objects.filter(pk=file_id).first() if file_id else None
    if found is None:
        raise NotFound("There is no such file.")
    return found


def files() -> models.QuerySet[File]:
    """Those of the tenant in scope, each with whether a batch that is not over needs it, the newest first."""
    needing = Batch.objects.filter(status__in=Batch.UNFINISHED, input_file=OuterRef("pk"))
    return File.objects.annotate(needed=Exists(needing)).order_by("-created_at", "-id")


def names_of_files(some: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The names of those files that the tenant in scope has. One query."""
    return dict(File.objects.filter(pk__in=set(some)).values_list("pk", "name"))


def page_of_files(
    tenant: str, *, after: uuid.UUID | None, limit: int, purpose: str | None, newest_first: bool
) -> tuple[list[File], bool]:
    """The tenant's files after one of them, and whether there are more."""
    with tenant_scope(tenant):
        files = File.objects.filter(purpose=purpose) if purpose else File.objects.all()
        return page(files, after, limit, newest_first=newest_first)


def page(rows: models.QuerySet[T], after: uuid.UUID | None, limit: int, *, newest_first: bool) -> tuple[list[T], bool]:
    """Rows by their ids, which are ordered by time."""
    if after is not None:
        rows = rows.filter(pk__lt=after) if newest_first else rows.filter(pk__gt=after)
    found = list(rows.order_by("-pk" if newest_first else "pk")[: limit + 1])
    return found[:limit], len(found) > limit


def stored_bytes() -> int:
    """What all files of the tenant in scope are together."""
    return int(File.objects.aggregate(all=Sum("size"))["all"] or 0)


def old_files(before: datetime.datetime) -> models.QuerySet[File]:
    """Files made before then that no unfinished batch needs, of all tenants."""
    needed = Batch.objects.filter(status__in=Batch.UNFINISHED, input_file=OuterRef("pk"))
    return File.objects.filter(~Exists(needed), created_at__lt=before)


def known_ids(some: list[uuid.UUID]) -> set[uuid.UUID]:
    """Those of ``some`` that are files, of whatever tenant."""
    with every_tenant():
        return set(File.objects.filter(pk__in=some).values_list("pk", flat=True))

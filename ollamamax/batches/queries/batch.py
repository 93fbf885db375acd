"""Reads of batches and of their answers."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from typing import NamedTuple

from django.db import models
from django.db.models.functions import Coalesce

from ollamamax.batches.models import Answer, Batch
from ollamamax.batches.queries.file import page
from ollamamax.identity.queries.key import usable_keys
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import NotFound

_CHUNK = 200


class BatchAnswer(NamedTuple):
    """One answer: the line's number, whether it succeeded, and its line of output."""

    number: int
    is_success: bool
    line: bytes


def get_batch(tenant: str, batch_id: uuid.UUID | None) -> Batch:
    """A batch of the tenant. Raises `NotFound`."""
    with tenant_scope(tenant):
        found = batches().filter(pk=batch_id).first() if batch_id else None
    if found is None:
        raise NotFound("There is no such batch.")
    return found


def batches() -> models.QuerySet[Batch]:
    """Those of the tenant in scope with their keys, the newest first."""
    return Batch.objects.select_related("key").order_by("-created_at", "-id")


def page_of_batches(tenant: str, *, after: uuid.UUID | None, limit: int) -> tuple[list[Batch], bool]:
    """The tenant's batches after one of them, the newest first, and whether there are more."""
    with tenant_scope(tenant):
        return page(Batch.objects.all(), after, limit, newest_first=True)


def ended_batches(before: datetime.datetime) -> models.QuerySet[Batch]:
    """Batches that had ended before then, of all tenants."""
    ended = Coalesce("completed_at", "failed_at", "expired_at", "cancelled_at")
    return Batch.objects.alias(ended_at=ended).filter(ended_at__lt=before).exclude(status__in=Batch.UNFINISHED)


def unfinished_of(file_id: uuid.UUID) -> models.QuerySet[Batch]:
    """The batches of the tenant in scope that still need a file."""
    return Batch.objects.filter(input_file=file_id, status__in=Batch.UNFINISHED)


def held_batch(batch_id: uuid.UUID, runner: str) -> Batch | None:
    """The batch with its key, if this runner still holds it."""
    with every_tenant():
        return Batch.objects.select_related("key").filter(pk=batch_id, runner=runner).first()


def answered_numbers(batch: Batch) -> set[int]:
    """The lines that have their answer."""
    with tenant_scope(batch.tenant_id):
        return set(Answer.objects.filter(batch=batch).values_list("number", flat=True))


def answers_of(batch: Batch) -> Iterator[BatchAnswer]:
    """The answers in the order of the input, a few at a time."""
    last = 0
    while True:
        with tenant_scope(batch.tenant_id):
            rows = Answer.objects.filter(batch=batch, number__gt=last).order_by("number")
            some = list(rows.values_list("number", "is_success", "line")[:_CHUNK])
        for number, is_success, line in some:
            yield BatchAnswer(number, is_success, bytes(line))
        if len(some) < _CHUNK:
            return
        last = some[-1][0]


def key_works(batch: Batch) -> bool:
    """Whether the key that made the batch is neither revoked nor expired, by Postgres."""
    with every_tenant():
        return usable_keys().filter(pk=batch.key_id).exists()

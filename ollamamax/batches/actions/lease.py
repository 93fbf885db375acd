"""Which runner works on which batch: claimed by one conditional update, renewed, given back.

Every later write of a runner names it, and changes nothing once another has claimed the batch: see `progress`.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.db import models
from django.db.models.functions import Now

from ollamamax.batches.actions.bounded import bounded
from ollamamax.batches.models import Batch
from ollamamax.identity.scope import every_tenant

LEASE = datetime.timedelta(seconds=10)
"""How long a runner may say nothing before its batches are anybody's."""
OF_ONE_TENANT = 4
"""Batches of a tenant that a runner holds at once, so that one with many does not keep others waiting."""


@dataclass(frozen=True)
class Held:
    """What a renewal tells of a batch that this runner holds."""

    is_cancelling: bool
    expires_at: datetime.datetime


def claim_batch(runner: str) -> uuid.UUID | None:
    """The oldest batch that nobody works on becomes this runner's."""
    with every_tenant(), bounded():
        unfinished = Batch.objects.filter(status__in=Batch.UNFINISHED)
        own = unfinished.filter(runner=runner, lease_until__gt=Now()).values("tenant")
        full = own.annotate(held=models.Count("pk")).filter(held__gte=OF_ONE_TENANT).values("tenant")
        free = unfinished.filter(models.Q(lease_until=None) | models.Q(lease_until__lte=Now()))
        found = free.exclude(tenant__in=full).order_by("created_at", "pk").select_for_update(skip_locked=True).first()
        if found is None:
            return None
        Batch.objects.filter(pk=found.pk).update(runner=runner, lease_until=Now() + LEASE)
        return found.pk


def renew_leases(runner: str, batches: Collection[uuid.UUID]) -> dict[uuid.UUID, Held]:
    """Those of ``batches`` that are still this runner's, for a while longer."""
    if not batches:
        return {}
    with every_tenant():
        held = Batch.objects.filter(pk__in=batches, runner=runner, status__in=Batch.UNFINISHED)
        held.update(lease_until=Now() + LEASE)
        return {
            key: Held(status == Batch.Status.CANCELLING, expires_at)
            for key, status, expires_at in held.values_list("pk", "status", "expires_at")
        }


def give_back(runner: str, batch_id: uuid.UUID) -> None:
    """Another runner may take the batch at once."""
    with every_tenant():
        Batch.objects.filter(pk=batch_id, runner=runner).update(runner="", lease_until=None)

"""Which runner works on which batch. What runners write of their work is in `progress`."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from ollamamax.batches.actions.bounded import bounded
from ollamamax.batches.models import Batch
from ollamamax.bus import work_lease
from ollamamax.bus.work_calls import call_on_commit
from ollamamax.identity.scope import every_tenant

WORK = "batches"
"""What runners are called for (`ollamamax.bus.work_calls`)."""
OF_ONE_TENANT = 4
"""Batches of a tenant that a runner holds at once, so that one with many does not keep others waiting."""


@dataclass(frozen=True)
class LeasedBatch:
    """What a renewal tells of a batch that this runner holds."""

    is_cancelling: bool
    expires_at: datetime.datetime


def claim_batch(runner: str) -> uuid.UUID | None:
    """The oldest batch that nobody works on becomes this runner's."""
    with every_tenant(), bounded():
        unfinished = Batch.objects.filter(status__in=Batch.UNFINISHED)
        return work_lease.claim(unfinished, runner, of_one_tenant=OF_ONE_TENANT)


def renew_leases(runner: str, batches: Collection[uuid.UUID]) -> dict[uuid.UUID, LeasedBatch]:
    """Those of ``batches`` that are still this runner's, for a while longer."""
    if not batches:
        return {}
    with every_tenant():
        held = work_lease.renew(Batch.objects.filter(pk__in=batches, status__in=Batch.UNFINISHED), runner)
        return {
            key: LeasedBatch(status == Batch.Status.CANCELLING, expires_at)
            for key, status, expires_at in held.values_list("pk", "status", "expires_at")
        }


def give_back(runner: str, batch_id: uuid.UUID) -> None:
    """Another runner may take the batch at once."""
    with every_tenant():
        work_lease.give_back(Batch.objects.filter(pk=batch_id), runner)
        call_on_commit(WORK)

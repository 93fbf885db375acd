"""Which runner works on which background response."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db import models, transaction

from ollamamax.bus import work_lease
from ollamamax.bus.work_calls import call_on_commit
from ollamamax.identity.scope import every_tenant
from ollamamax.responses.models import KeptResponse

MOST_ATTEMPTS = 3
"""How many runners may die of a response before it has failed."""
OF_ONE_TENANT = 8
"""Responses of a tenant that a runner holds at once, so that one with many does not keep others waiting."""
Status = KeptResponse.Status
WORK = "responses"
"""What those who make background responses are called for (`ollamamax.bus.work_calls`)."""


def claim_response(runner: str) -> uuid.UUID | None:
    """The oldest background response that nobody works on becomes this runner's."""
    with every_tenant(), transaction.atomic(durable=True):
        unfinished = KeptResponse.objects.filter(is_background=True, status__in=KeptResponse.UNFINISHED)
        return work_lease.claim(
            unfinished,
            runner,
            of_one_tenant=OF_ONE_TENANT,
            status=Status.IN_PROGRESS,
            attempts=models.F("attempts") + 1,
        )


def renew_leases(runner: str, responses: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of ``responses`` that are still this runner's and wanted, for a while longer."""
    if not responses:
        return set()
    with every_tenant():
        wanted = KeptResponse.objects.filter(pk__in=responses, status__in=KeptResponse.UNFINISHED)
        return set(work_lease.renew(wanted, runner).values_list("pk", flat=True))


def give_back(runner: str, response_id: uuid.UUID) -> None:
    """Another runner may take the response at once; that this one could not finish it is no attempt."""
    with every_tenant():
        held = KeptResponse.objects.filter(pk=response_id, status=Status.IN_PROGRESS)
        work_lease.give_back(held, runner, status=Status.QUEUED, attempts=models.F("attempts") - 1)
        call_on_commit(WORK)

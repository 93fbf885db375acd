"""Which runner works on which background response: claimed by one conditional update, renewed, given back."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection

from django.db import models, transaction
from django.db.models.functions import Now

from ollamamax.identity.scope import every_tenant
from ollamamax.responses.models import KeptResponse

LEASE = datetime.timedelta(seconds=10)
"""How long a runner may say nothing before its responses are anybody's."""
MOST_ATTEMPTS = 3
"""How many runners may die of a response before it has failed."""
OF_ONE_TENANT = 8
"""Responses of a tenant that a runner holds at once, so that one with many does not keep others waiting."""
Status = KeptResponse.Status


def claim_response(runner: str) -> uuid.UUID | None:
    """The oldest background response that nobody works on becomes this runner's."""
    with every_tenant(), transaction.atomic(durable=True):
        unfinished = KeptResponse.objects.filter(is_background=True, status__in=KeptResponse.UNFINISHED)
        own = unfinished.filter(runner=runner, lease_until__gt=Now()).values("tenant")
        full = own.annotate(held=models.Count("pk")).filter(held__gte=OF_ONE_TENANT).values("tenant")
        free = unfinished.filter(models.Q(lease_until=None) | models.Q(lease_until__lte=Now()))
        found = free.exclude(tenant__in=full).order_by("created_at").select_for_update(skip_locked=True).first()
        if found is None:
            return None
        KeptResponse.objects.filter(pk=found.pk).update(
            runner=runner, lease_until=Now() + LEASE, status=Status.IN_PROGRESS, attempts=models.F("attempts") + 1
        )
        return found.pk


def renew_leases(runner: str, responses: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of ``responses`` that are still this runner's and wanted, for a while longer."""
    if not responses:
        return set()
    with every_tenant():
        held = KeptResponse.objects.filter(pk__in=responses, runner=runner, status__in=KeptResponse.UNFINISHED)
        held.update(lease_until=Now() + LEASE)
        return set(held.values_list("pk", flat=True))


def give_back(runner: str, response_id: uuid.UUID) -> None:
    """Another runner may take the response at once; that this one could not finish it is no attempt."""
    with every_tenant():
        held = KeptResponse.objects.filter(pk=response_id, runner=runner, status=Status.IN_PROGRESS)
        held.update(runner="", lease_until=None, status=Status.QUEUED, attempts=models.F("attempts") - 1)

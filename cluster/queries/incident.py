"""Reads incidents, and whom one hit."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import msgspec
from django.db.models import Q, QuerySet
from django.utils import timezone

from cluster.models import Incident
from cluster.recovery.playbook import RecoveryRun
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.metering.models import RequestRoute, UsageRecord

MOST_LOOKED_AT = 10_000
"""Requests of an incident's time that were tried more than once, of which it is asked where."""
BEFORE = datetime.timedelta(seconds=15)
"""A fault begins before it is found."""


def incidents() -> QuerySet[Incident]:
    """Those of the tenant in scope."""
    return Incident.objects.all()


def get_incident(incident_id: uuid.UUID) -> Incident:
    """Raises `NotFound`."""
    found = incidents().filter(pk=incident_id).first()
    if found is None:
        raise NotFound("There is no such incident.")
    return found


def held_run(incident: Incident) -> RecoveryRun | None:
    """The latest run of a playbook for it."""
    return None if incident.recovery is None else msgspec.convert(incident.recovery, RecoveryRun)


def ended_incidents(before: datetime.datetime) -> QuerySet[Any]:
    return Incident.objects.filter(closed_at__lt=before)


def hits_of(incident: Incident) -> tuple[int, int] | None:
    """How many requests failed at what the incident is about, or had to leave it, as far as they are written down by now; and of how many tenants they were.
    ``None`` for what no request is given to. Queries: 2 or 3."""
    if incident.about not in ("node", "model"):
        return None
    since = incident.opened_at - BEFORE
    with every_tenant():
        within = UsageRecord.objects.filter(
            received_at__gte=since, received_at__lte=incident.closed_at or timezone.now(), shadow_of=None
        )
        failed = ~Q(outcome__in=["ok", "cancelled", "refused"])
        if incident.about == "model":
            hit = within.filter(failed, model=incident.subject_name, tenant=incident.tenant_id)
            return hit.count(), min(1, hit.count())
        found = dict(
            within.filter(failed, node=uuid.UUID(incident.subject_id)).values_list("request", "tenant")[:MOST_LOOKED_AT]
        )
        again = dict(within.filter(attempts__gt=1).values_list("request", "tenant")[:MOST_LOOKED_AT])
        routes = RequestRoute.objects.filter(
            request__in=list(again),
            route__attempts__contains=[{"node": incident.subject_id}],
        )
        found |= {request: again[request] for request in routes.values_list("request", flat=True)}
    return len(found), len(set(found.values()))

"""Reads jobs of the tenant in scope."""

from __future__ import annotations

import datetime
import uuid

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from models_registry.models import Job
from ollamamax.contract.health import FailedJob
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound


def jobs() -> QuerySet[Job]:
    """Every job of the tenant in scope that is not forgotten yet."""
    return Job.objects.all()


def find_job(job: uuid.UUID) -> Job:
    """Raises `NotFound`, for a job of others just the same. Queries: 1."""
    found = Job.objects.filter(pk=job).first()
    if found is None:
        raise NotFound("There is no such job.")
    return found


FAILED_FOR = datetime.timedelta(hours=1)
"""For so long a failed job is told of."""
_MOST_FAILED = 1000


def failed_lately() -> dict[str, list[FailedJob]]:
    """Tenant (hex) -> its jobs that failed lately and were not repeated with success, or begun again, since. Queries: 1."""
    with every_tenant():
        again = Job.objects.filter(
            tenant=OuterRef("tenant"),
            kind=OuterRef("kind"),
            model=OuterRef("model"),
            created_at__gt=OuterRef("created_at"),
        ).exclude(state__in=[Job.State.FAILED, Job.State.CANCELLED])
        failed = Job.objects.filter(
            ~Exists(again), state=Job.State.FAILED, finished_at__gt=timezone.now() - FAILED_FOR
        ).order_by("-finished_at")[:_MOST_FAILED]
        found: dict[str, list[FailedJob]] = {}
        for job in failed:
            at = job.finished_at or job.created_at
            found.setdefault(job.tenant_id.hex, []).append(
                FailedJob(job.id.hex, job.kind, job.model, job.error[:300], at.timestamp())
            )
    return found

"""Reads jobs of the tenant in scope."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from models_registry.models import Job
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

"""Reads usage."""

from __future__ import annotations

import datetime
import uuid

from django.db.models import Count, QuerySet, Sum

from ollamamax.metering.models import UsageRecord


def usage(
    *,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    key: uuid.UUID | None = None,
    model: str | None = None,
) -> QuerySet[UsageRecord]:
    """Records of the tenant in scope, received from ``since`` on and before ``until``."""
    found = UsageRecord.objects.defer("route")
    if since is not None:
        found = found.filter(received_at__gte=since)
    if until is not None:
        found = found.filter(received_at__lt=until)
    if key is not None:
        found = found.filter(key=key)
    if model is not None:
        found = found.filter(model=model)
    return found


def find_record(request: uuid.UUID) -> UsageRecord | None:
    """The record of one request of the tenant in scope. Queries: 1."""
    return UsageRecord.objects.filter(request=request).first()


def totals(found: QuerySet[UsageRecord]) -> dict[str, int]:
    """Sums over the records; one that no node was given is no request of its own. Queries: 1."""
    summed = found.aggregate(
        requests=Count("node"), prompt_tokens=Sum("prompt_tokens"), completion_tokens=Sum("completion_tokens")
    )
    return {name: value or 0 for name, value in summed.items()}

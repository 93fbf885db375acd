"""Reads the records of requests that had certain versions of a model: those that somebody was answered, and those of shadow traffic."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Sequence

from django.db.models import QuerySet

from ollamamax.contract.model_names import LATEST
from ollamamax.metering.models import UsageRecord


def ended_of_model(
    tenant: uuid.UUID | None, model: str, versions: Sequence[str], since: datetime.datetime
) -> QuerySet[UsageRecord]:
    """Records of requests that came since then under a full name and had one of these versions, without those that nobody was shown the answer of;
    ``tenant`` is ``None`` for those of all, in their scope."""
    return _of_model(tenant, model, versions, since).filter(shadow_of=None)


def shadows_of_model(
    tenant: uuid.UUID | None, model: str, version: str, since: datetime.datetime
) -> QuerySet[UsageRecord]:
    """Likewise, those alone that ran another request again with this version."""
    return _of_model(tenant, model, (version,), since).filter(shadow_of__isnull=False)


def records_of(tenant: uuid.UUID | None, requests: Collection[uuid.UUID]) -> QuerySet[UsageRecord]:
    """Of these requests; ``tenant`` is ``None`` for those of all, in their scope."""
    found = UsageRecord.objects.filter(request__in=requests)
    return found if tenant is None else found.filter(tenant_id=tenant)


def _of_model(
    tenant: uuid.UUID | None, model: str, versions: Sequence[str], since: datetime.datetime
) -> QuerySet[UsageRecord]:
    # Partitions are by the time in the id.
    oldest = uuid.UUID(int=int(since.timestamp() * 1000) << 80)
    # Records have a name as the client gave it.
    names = (model, model.removesuffix(LATEST))
    found = UsageRecord.objects.filter(
        request__gte=oldest, received_at__gte=since, model__in=names, version__in=versions
    )
    return found if tenant is None else found.filter(tenant_id=tenant)

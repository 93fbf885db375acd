"""Reads of workloads."""

from __future__ import annotations

import uuid

from django.db import models

from ollamamax.identity.models import ApiKey
from ollamamax.identity.queries.key import restrict
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.oauth.models import Workload


def workloads() -> models.QuerySet[Workload]:
    """Those of the tenant in scope, with their keys, the newest first."""
    return Workload.objects.select_related("key").order_by("-id")


def get_workload(workload_id: uuid.UUID) -> Workload:
    """Raises `NotFound`."""
    found = workloads().filter(pk=workload_id).first()
    if found is None:
        raise NotFound("There is no such workload.")
    return found


def lock_workload(acting: Principal, workload_id: uuid.UUID) -> Workload:
    """One whose key ``acting`` may change, for a transaction that does. Raises `NotFound`."""
    keys = restrict(acting, ApiKey.objects.all())
    found = Workload.objects.select_for_update(of=("self",)).select_related("key").filter(pk=workload_id, key__in=keys)
    row = found.first()
    if row is None:
        raise NotFound("There is no such workload.")
    return row


def find_workload(workload_id: uuid.UUID) -> Workload | None:
    """Of any tenant: who asks for a token names one, and is nobody yet. One query."""
    with every_tenant():
        return Workload.objects.select_related("key").filter(pk=workload_id).first()

"""Reads of tenants."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable

from django.db import models

from ollamamax.identity.models import Tenant
from ollamamax.kernel.errors import NotFound


def tenants() -> models.QuerySet[Tenant]:
    """Every tenant: for the operator and the system."""
    return Tenant.objects.all()


def get_tenant(tenant_id: uuid.UUID) -> Tenant:
    """Raises `NotFound`."""
    found = Tenant.objects.filter(pk=tenant_id).first()
    if found is None:
        raise NotFound("There is no such tenant.")
    return found


def tenants_of_ids(some: Iterable[uuid.UUID]) -> list[Tenant]:
    """Those of them that there are, for what is not about one tenant alone. One query."""
    return list(Tenant.objects.filter(pk__in=list(some)))


def find_tenant(slug: str) -> Tenant | None:
    return Tenant.objects.filter(slug=slug).first()


def find_operator() -> Tenant | None:
    """The tenant that runs this installation; ``None`` until one was named."""
    return Tenant.objects.filter(is_operator=True).first()


def may_join_nodes(tenant_id: uuid.UUID) -> bool:
    """Whether hosts may become nodes of the tenant, which is not suspended. One query."""
    allowed = models.Q(is_operator=True) | models.Q(may_join_nodes=True)
    return Tenant.objects.filter(allowed, pk=tenant_id, suspended_at=None).exists()


def known_tenants(some: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of them that there are. One query."""
    return set(Tenant.objects.filter(pk__in=some).values_list("pk", flat=True))


def is_operator(tenant_id: uuid.UUID) -> bool:
    return Tenant.objects.filter(pk=tenant_id, is_operator=True).exists()

"""Writes of tenants."""

from __future__ import annotations

import re

from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity.models import Tenant
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest
from ollamamax.kernel.principal import Principal

_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def create_tenant(*, acting: Principal, slug: str, name: str) -> Tenant:
    """Only the system makes tenants. Raises `InvalidRequest`, or `Conflict` when the slug is taken."""
    if acting.kind != "system":
        raise Forbidden("Tenants are made by the operator of this installation.")
    if not _SLUG.fullmatch(slug):
        raise InvalidRequest("A slug has 1 to 63 small letters, digits and inner hyphens.", param="slug")
    if not name.strip() or len(name) > 200:
        raise InvalidRequest("A tenant's name has 1 to 200 characters.", param="name")
    try:
        with transaction.atomic(durable=True):
            tenant = Tenant.objects.create(slug=slug, name=name.strip())
            # In the system's chain: that a tenant was there is known even if its own chain were removed.
            record(
                acting=acting,
                action="tenant.create",
                target_type="tenant",
                target_id=tenant.id,
                tenant=None,
                detail={"slug": slug, "name": tenant.name},
            )
    except IntegrityError as error:
        raise Conflict(f"There is a tenant with the slug '{slug}' already.") from error
    return tenant

"""The tenant scope: rows of a tenant can only be read inside it, and reading outside raises `ScopeError`."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager
from typing import Any

from django.db import models
from django_scopes import ScopedManager, ScopeError, get_scope, scope, scopes_disabled

__all__ = ["ScopeError", "current_tenant", "every_tenant", "tenant_manager", "tenant_scope"]


def tenant_manager(kind: type[models.Manager[Any]] = models.Manager) -> Any:
    """The manager of a tenant-owned model: ``objects: models.Manager[X] = tenant_manager()``; ``kind`` is what else it can."""
    return ScopedManager(kind, tenant="tenant")


def tenant_scope(tenant: models.Model | uuid.UUID | str) -> AbstractContextManager[None]:
    """Within it, tenant-owned models show this tenant's rows only. Takes a Tenant, its UUID, or the UUID's text."""
    # django-scopes takes None for "no filter" and a list for "any of": neither may pass.
    key = tenant.pk if isinstance(tenant, models.Model) else tenant
    entered: AbstractContextManager[None] = scope(tenant=key if isinstance(key, uuid.UUID) else uuid.UUID(key))
    return entered


def every_tenant() -> AbstractContextManager[None]:
    """Within it, rows of all tenants are seen: for loops, log-in and commands, never for a request's own data."""
    entered: AbstractContextManager[None] = scopes_disabled()
    return entered


def current_tenant() -> uuid.UUID:
    """The tenant whose scope this is. Raises `ScopeError` outside one."""
    held = get_scope()
    if not held.get("_enabled", True) or "tenant" not in held:
        raise ScopeError("no tenant scope is active")
    tenant: uuid.UUID = held["tenant"]
    return tenant

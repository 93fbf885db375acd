"""Role: a named set of permissions: one that every installation has, or one that a tenant made for itself."""

from __future__ import annotations

from typing import Any

from django.db import models
from django_scopes import ScopeError, get_scope

from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.roles import OWNER
from ollamamax.kernel import ids


class RoleManager(models.Manager["Role"]):
    """Roles of the tenant in scope and those of every installation. Raises `ScopeError` outside a scope."""

    def get_queryset(self) -> models.QuerySet[Role]:
        held: dict[str, Any] = get_scope()
        found = super().get_queryset()
        if not held.get("_enabled", True):
            return found
        if "tenant" not in held:
            raise ScopeError("no tenant scope is active")
        return found.filter(models.Q(tenant=None) | models.Q(tenant=held["tenant"]))


class Role(models.Model):
    """``tenant`` is ``None`` for the system's own (`ollamamax.identity.roles.SYSTEM_ROLES`), which no tenant changes."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, null=True, related_name="+")
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=100)
    permissions = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects = RoleManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slug"],
                name="identity_role_slug_unique",
                violation_error_message="There is a role with this slug already.",
            ),
            models.UniqueConstraint(
                fields=["slug"],
                condition=models.Q(tenant=None),
                name="identity_role_system_slug_unique",
                violation_error_message="There is a role with this slug already.",
            ),
            models.CheckConstraint(
                condition=models.Q(slug__regex=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
                name="identity_role_slug_form",
                violation_error_message="A slug has 1 to 63 small letters, digits and inner hyphens.",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def is_system(self) -> bool:
        return self.tenant_id is None

    @property
    def is_owners(self) -> bool:
        """Whether its members are the owners of their tenants. A custom role is that never, whatever its slug."""
        return self.is_system and self.slug == OWNER

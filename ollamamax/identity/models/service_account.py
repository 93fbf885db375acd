"""ServiceAccount: a program as a member of a tenant, with keys of its own; it never logs in."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.membership import Membership
from ollamamax.identity.models.team import Team
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class ServiceAccount(models.Model):
    """``membership`` holds its role, state and grants, of a user that ``is_program``. Who is in ``team`` manages its keys."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=63)
    description = models.CharField(max_length=300, default="", blank=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, null=True, related_name="service_accounts")
    membership = models.OneToOneField(Membership, on_delete=models.CASCADE, related_name="service_account")
    created_by_name = models.CharField(max_length=254, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    objects: models.Manager[ServiceAccount] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"],
                name="identity_service_account_name_unique",
                violation_error_message="There is a service account of this name already.",
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"),
                name="identity_service_account_name_form",
                violation_error_message="A service account's name has 1 to 63 small letters, digits and inner hyphens.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

"""Membership: a user in a tenant, with a role there."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.models.user import User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Role(models.TextChoices):
    """What each may do: `ollamamax.identity.roles`."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Membership(models.Model):
    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=16, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[Membership] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "user"],
                name="identity_membership_unique",
                violation_error_message="This user is a member of the tenant already.",
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values),
                name="identity_membership_role_known",
                violation_error_message="There is no such role.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.tenant_id}"

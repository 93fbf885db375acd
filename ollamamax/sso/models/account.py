"""BreakGlassAccount: a member whose password is taken where their tenant asks for single sign-on, for when that is broken."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import Tenant, User
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class BreakGlassAccount(models.Model):
    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[BreakGlassAccount] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "user"],
                name="sso_account_unique",
                violation_error_message="This member is a break-glass account already.",
            )
        ]

    def __str__(self) -> str:
        return str(self.user_id)

"""Grant: a permission that a member has on a single object, such as a model or a node."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models.membership import Membership
from ollamamax.identity.models.tenant import Tenant
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Grant(models.Model):
    """Ends with the membership. ``target`` names the object as `ollamamax.identity.roles.reference` does; ids are never used again."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+")
    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="grants")
    permission = models.CharField(max_length=64)
    target = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: models.Manager[Grant] = tenant_manager()

    class Meta:
        indexes = [models.Index(fields=["tenant", "target"], name="identity_grant_target")]
        constraints = [
            models.UniqueConstraint(
                fields=["membership", "target", "permission"],
                name="identity_grant_unique",
                violation_error_message="This member has the permission on the object already.",
            ),
            models.CheckConstraint(
                condition=models.Q(target__regex=r"^[a-z]{1,20}:[0-9a-f]{32}$"),
                name="identity_grant_target_form",
                violation_error_message="A grant is on an object: a kind, a colon, its id.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.permission} on {self.target}"

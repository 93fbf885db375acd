"""JoinToken: lets a limited number of hosts become nodes of a tenant, for a limited time. Only its hash is kept."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class JoinToken(models.Model):
    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    identifier = models.CharField(max_length=16)
    secret_hash = models.CharField(max_length=64)
    max_uses = models.PositiveIntegerField()
    uses = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    objects: models.Manager[JoinToken] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["identifier"],
                name="cluster_join_token_identifier_unique",
                violation_error_message="There is a join token with this identifier already.",
            ),
            models.CheckConstraint(
                condition=models.Q(uses__lte=models.F("max_uses")),
                name="cluster_join_token_uses",
                violation_error_message="This join token was used as often as it may be.",
            ),
        ]

    def __str__(self) -> str:
        return f"omxj_{self.identifier}"

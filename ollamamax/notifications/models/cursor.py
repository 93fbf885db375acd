"""AuditCursor: how far a tenant's webhooks were told of a chain of the audit trail."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager


class AuditCursor(models.Model):
    """The record numbered ``seq`` of ``chain`` is the last one that was looked at. A tenant has its own chain, the operator's the system's too."""

    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    chain = models.CharField(max_length=32)
    seq = models.BigIntegerField()

    objects: models.Manager[AuditCursor] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "chain"],
                name="notifications_cursor_once",
                violation_error_message="This tenant follows the chain already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain}/{self.seq}"

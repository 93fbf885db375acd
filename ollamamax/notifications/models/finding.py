"""ToldFinding: a finding about health that webhooks were told is open."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager


class ToldFinding(models.Model):
    """``data`` is what was told of it last (`ollamamax.notifications.payload.HealthData`, JSON)."""

    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    region = models.CharField(max_length=63, default="", blank=True)
    subject = models.CharField(max_length=450)
    code = models.CharField(max_length=64)
    data = models.JSONField()

    objects: models.Manager[ToldFinding] = tenant_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "region", "subject", "code"],
                name="notifications_finding_once",
                violation_error_message="This finding was told already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.subject}"

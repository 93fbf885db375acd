"""LogInCounter: how many log-ins failed of late, for one address, account, or both together."""

from __future__ import annotations

from django.db import models


class LogInCounter(models.Model):
    """Of kind ``used``: that something was shown which counts once. Of others: ``level`` is what the counter held at ``at``; it drains (`throttle`). ``untold`` refusals are in no audit record yet."""

    kind = models.CharField(max_length=8)
    subject = models.CharField(max_length=64)
    level = models.FloatField(default=0.0)
    at = models.DateTimeField()
    trusted_until = models.DateTimeField(null=True)
    untold = models.IntegerField(default=0)
    told_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"],
                name="identity_log_in_counter_unique",
                violation_error_message="There is such a counter already.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"

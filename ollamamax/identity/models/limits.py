"""Limited: the columns of what limits a tenant or a key; ``NULL`` is no limit."""

from __future__ import annotations

from django.db import models

from ollamamax.kernel.limits import Limits


class Limited(models.Model):
    requests_per_minute = models.PositiveIntegerField(null=True)
    tokens_per_minute = models.PositiveIntegerField(null=True)
    concurrent_requests = models.PositiveIntegerField(null=True)

    class Meta:
        abstract = True

    @property
    def limits(self) -> Limits:
        return Limits(self.requests_per_minute, self.tokens_per_minute, self.concurrent_requests)


LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
MOST = 2**31 - 1


def limit_constraints(prefix: str) -> list[models.CheckConstraint]:
    """A limit is at least 1: of what may nothing be done, the key is revoked."""
    return [
        models.CheckConstraint(
            condition=models.Q((f"{name}__isnull", True)) | models.Q((f"{name}__gte", 1)),
            name=f"{prefix}_{name}_least",
            violation_error_message=f"{name} is at least 1, or null for no limit.",
        )
        for name in LIMITS
    ]

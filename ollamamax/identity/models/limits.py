"""Limited: the columns of what limits a tenant or a key; ``NULL`` is no limit."""

from __future__ import annotations

from django.db import models

from ollamamax.kernel.limits import Limits


class Limited(models.Model):
    requests_per_minute = models.PositiveIntegerField(null=True)
    tokens_per_minute = models.PositiveIntegerField(null=True)
    concurrent_requests = models.PositiveIntegerField(null=True)
    input_tokens_per_minute = models.PositiveIntegerField(null=True)
    output_tokens_per_minute = models.PositiveIntegerField(null=True)
    context_tokens = models.PositiveIntegerField(null=True)
    """Of a prompt and its answer together."""
    output_tokens = models.PositiveIntegerField(null=True)
    """Of one answer."""

    class Meta:
        abstract = True

    @property
    def limits(self) -> Limits:
        return Limits(
            self.requests_per_minute,
            self.tokens_per_minute,
            self.concurrent_requests,
            self.input_tokens_per_minute,
            self.output_tokens_per_minute,
            self.context_tokens,
            self.output_tokens,
        )


LIMITS = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_requests",
    "input_tokens_per_minute",
    "output_tokens_per_minute",
    "context_tokens",
    "output_tokens",
)
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

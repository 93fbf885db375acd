"""UsageRecord: what one request really used. Written once, from Redis, by `write_usage`; the request id is its key."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager


class UsageRecord(models.Model):
    """Times in milliseconds; ``None`` where the thing never happened. Key, node and version are kept by id, so that they
    may go and the record stays."""

    request = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    key = models.UUIDField()
    model = models.CharField(max_length=400)
    version = models.CharField(max_length=71)
    node = models.UUIDField(null=True)
    """``None``: it left the queue before any node was given it."""
    node_name = models.CharField(max_length=100)
    api = models.CharField(max_length=100)
    trace = models.CharField(max_length=32)
    received_at = models.DateTimeField()
    prompt_tokens = models.PositiveBigIntegerField()
    completion_tokens = models.PositiveBigIntegerField()
    queue_ms = models.FloatField(null=True)
    first_token_ms = models.FloatField(null=True)
    duration_ms = models.FloatField()
    outcome = models.CharField(max_length=16)
    error = models.CharField(max_length=100, default="")
    attempts = models.PositiveSmallIntegerField(default=1)
    priority = models.CharField(max_length=10, default="normal")
    route = models.JSONField(null=True)
    """`ollamamax.contract.Route`: the candidates, their scores, the tries; ``None`` where nobody was left to tell."""

    objects: models.Manager[UsageRecord] = tenant_manager()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "-received_at", "-request"], name="metering_usage_newest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(outcome__in=["ok", "cancelled", "failed", "gateway_lost", "node_lost"]),
                name="metering_usage_outcome_known",
                violation_error_message="Not an outcome of a request.",
            ),
        ]

    def __str__(self) -> str:
        return self.request.hex

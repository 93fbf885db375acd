"""Batch: the order to answer every line of a file, how far it got, and which runner works on it."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.models import ApiKey
from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Batch(models.Model):
    """Statuses and times are OpenAI's. ``runner`` works on it until ``lease_until``, by the database's clock.

    Files are named by id, without a foreign key: a batch still tells the ids of files that were deleted.
    """

    class Status(models.TextChoices):
        VALIDATING = "validating"
        IN_PROGRESS = "in_progress"
        FINALIZING = "finalizing"
        CANCELLING = "cancelling"
        COMPLETED = "completed"
        FAILED = "failed"
        EXPIRED = "expired"
        CANCELLED = "cancelled"

    UNFINISHED = (Status.VALIDATING, Status.IN_PROGRESS, Status.FINALIZING, Status.CANCELLING)

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+")
    endpoint = models.CharField(max_length=64)
    completion_window = models.CharField(max_length=8)
    metadata = models.JSONField(null=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.VALIDATING)
    errors = models.JSONField(default=list)
    input_file = models.UUIDField()
    output_file = models.UUIDField(null=True)
    error_file = models.UUIDField(null=True)
    total = models.PositiveIntegerField(default=0)
    completed = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    in_progress_at = models.DateTimeField(null=True)
    finalizing_at = models.DateTimeField(null=True)
    cancelling_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)
    runner = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True)

    objects: models.Manager[Batch] = tenant_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"],
                name="batches_batch_unfinished",
                condition=models.Q(status__in=["validating", "in_progress", "finalizing", "cancelling"]),
            )
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    status__in=[
                        "validating", "in_progress", "finalizing", "cancelling",
                        "completed", "failed", "expired", "cancelled",
                    ]
                ),
                name="batches_batch_status_known",
                violation_error_message="A batch has one of OpenAI's statuses.",
            ),
            models.CheckConstraint(
                condition=models.Q(total__gte=models.F("completed") + models.F("failed")),
                name="batches_batch_counts_within_total",
                violation_error_message="A batch cannot have more answers than lines.",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"batch_{self.id.hex}"

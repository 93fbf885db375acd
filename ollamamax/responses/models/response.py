"""KeptResponse: one answer of ``/v1/responses`` that its tenant wanted kept, from its first moment on."""

from __future__ import annotations

import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models

from ollamamax.identity.models import ApiKey
from ollamamax.identity.scope import tenant_manager

MOST_EARLIER = 1000
"""How many responses one may go on from, the whole chain of them."""


class KeptResponse(models.Model):
    """``id`` is the id of the request. ``object`` (the response as its caller sees it), ``input`` (its own items) and ``request``
    (of a background response: the body to ask for) are JSON in the secret box, for the places that `place` names.

    ``earlier`` names all that it goes on from, the oldest first. Until ``lease_until``, by the database's clock, ``runner`` works on
    it; an unfinished one whose lease has lapsed is another's to take up (background), or has failed with its gateway.
    """

    class Status(models.TextChoices):
        QUEUED = "queued"
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        INCOMPLETE = "incomplete"
        FAILED = "failed"
        CANCELLED = "cancelled"

    UNFINISHED = (Status.QUEUED, Status.IN_PROGRESS)

    id = models.UUIDField(primary_key=True, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=16, choices=Status.choices)
    is_background = models.BooleanField(default=False)
    earlier = ArrayField(models.UUIDField(), default=list)
    conversation = models.UUIDField(null=True)
    object = models.BinaryField()
    input = models.BinaryField()
    request = models.BinaryField(null=True)
    size = models.PositiveBigIntegerField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    runner = models.CharField(max_length=32, blank=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)

    objects: models.Manager[KeptResponse] = tenant_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["created_at"],
                name="responses_unfinished",
                condition=models.Q(status__in=["queued", "in_progress"]),
            ),
            models.Index(fields=["expires_at"], name="responses_expiry"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    status__in=["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
                ),
                name="responses_response_status_known",
                violation_error_message="A response has one of OpenAI's statuses.",
            )
        ]

    def __str__(self) -> str:
        return f"resp_{self.id.hex}"

    def place(self, field: str) -> str:
        """Where a sealed field lies, for the secret box."""
        return f"responses.response.{field}:{self.id.hex}"

    def is_abandoned(self, now: datetime.datetime) -> bool:
        """Nobody works on it any more, and nobody will."""
        lapsed = self.lease_until is not None and self.lease_until <= now
        return self.status in self.UNFINISHED and lapsed and not self.is_background

"""OutgoingMail: a letter on its way to the mail server."""

from __future__ import annotations

from django.db import models

from ollamamax.kernel import ids


class OutgoingMail(models.Model):
    """``letter`` lies in the secret box, since it may hold a link that lets its reader in, and is empty once it is over.

    It belongs to a person, who may be a member of several tenants, and to no tenant. ``kind`` is what letter it is.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    to = models.EmailField(max_length=254)
    kind = models.CharField(max_length=32)
    letter = models.BinaryField()
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, default="", blank=True)
    next_at = models.DateTimeField()
    until = models.DateTimeField()
    runner = models.CharField(max_length=32, default="", blank=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["next_at"], condition=models.Q(state="waiting"), name="mail_outgoing_due"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["waiting", "sent", "failed"]),
                name="mail_outgoing_state_known",
                violation_error_message="A letter waits, was sent, or failed.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id.hex}"

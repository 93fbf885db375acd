"""WebhookDelivery: one event on its way to one webhook."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids
from ollamamax.notifications.models.event import WebhookEvent
from ollamamax.notifications.models.webhook import Webhook


class WebhookDelivery(models.Model):
    """``attempts`` are the last ones (`ollamamax.notifications.attempts.Tried`), ``tries`` how many there were since it was asked for.

    While it waits it is tried from ``next_at`` on, and given up after ``until``. Whoever is at it is ``runner``, until ``lease_until``.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(WebhookEvent, on_delete=models.CASCADE, related_name="deliveries")
    state = models.CharField(max_length=16, choices=State, default=State.WAITING)
    tries = models.PositiveIntegerField(default=0)
    attempts = models.JSONField(default=list)
    next_at = models.DateTimeField()
    until = models.DateTimeField()
    runner = models.CharField(max_length=32, default="", blank=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    objects: models.Manager[WebhookDelivery] = tenant_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["webhook", "next_at"],
                condition=models.Q(state="waiting"),
                name="notifications_delivery_due",
            ),
            models.Index(fields=["webhook", "created_at"], name="notifications_delivery_log"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "event"],
                name="notifications_delivery_once",
                violation_error_message="This webhook is told of the event already.",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["waiting", "delivered", "failed"]),
                name="notifications_delivery_state_known",
                violation_error_message="A delivery waits, was delivered, or failed.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} to {self.webhook_id}: {self.state}"

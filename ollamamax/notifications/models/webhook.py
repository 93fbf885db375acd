"""Webhook: an address of a tenant's choosing that is told of events."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class Webhook(models.Model):
    """``secret`` and ``previous_secret`` lie in the secret box; the latter signs besides until ``previous_until``.

    ``since``: events from before are none of its. ``failures`` counts attempts in a row that failed; until ``wait_until`` there is
    none, and ``failing_since`` is when the first of them was. ``disabled_reason`` is empty where a person switched it off.
    """

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, default="", blank=True)
    events = models.JSONField(default=list)
    secret = models.BinaryField()
    previous_secret = models.BinaryField(null=True)
    previous_until = models.DateTimeField(null=True)
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=300, default="", blank=True)
    since = models.DateTimeField()
    created_by = models.ForeignKey("identity.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_by_name = models.CharField(max_length=254, default="", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    wait_until = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)

    objects: models.Manager[Webhook] = tenant_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(enabled=False) | models.Q(disabled_reason=""),
                name="notifications_webhook_reason",
                violation_error_message="A webhook that is enabled was not disabled for a reason.",
            ),
        ]

    def __str__(self) -> str:
        return self.id.hex

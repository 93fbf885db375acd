"""WebhookEvent: something that happened and that a webhook is told of, with the body that is sent."""

from __future__ import annotations

from django.db import models

from ollamamax.identity.scope import tenant_manager
from ollamamax.kernel import ids


class WebhookEvent(models.Model):
    """``body`` is the JSON that is signed and sent, the same at every attempt (see `ollamamax.notifications.payload`)."""

    id = models.UUIDField(primary_key=True, default=ids.uuid7, editable=False)
    tenant = models.ForeignKey("identity.Tenant", on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=64)
    at = models.DateTimeField()
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    objects: models.Manager[WebhookEvent] = tenant_manager()

    def __str__(self) -> str:
        return f"{self.type} {self.id.hex}"

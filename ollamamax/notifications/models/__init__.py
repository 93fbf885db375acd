"""The tables of notifications, one noun a file."""

from __future__ import annotations

from ollamamax.notifications.models.cursor import AuditCursor
from ollamamax.notifications.models.delivery import WebhookDelivery
from ollamamax.notifications.models.event import WebhookEvent
from ollamamax.notifications.models.finding import ToldFinding
from ollamamax.notifications.models.stream import AuditStream
from ollamamax.notifications.models.webhook import Webhook

__all__ = ["AuditCursor", "AuditStream", "ToldFinding", "Webhook", "WebhookDelivery", "WebhookEvent"]

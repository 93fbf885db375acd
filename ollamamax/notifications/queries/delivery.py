"""Reads of deliveries, and which events are over."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from ollamamax.kernel.errors import NotFound
from ollamamax.notifications.models import WebhookDelivery, WebhookEvent
from ollamamax.notifications.queries.webhook import get_webhook


def deliveries_of(webhook_id: uuid.UUID) -> QuerySet[WebhookDelivery]:
    """Of a webhook of the tenant in scope, with their events. Raises `NotFound`."""
    get_webhook(webhook_id)
    return WebhookDelivery.objects.filter(webhook=webhook_id).select_related("event")


def get_delivery(webhook_id: uuid.UUID, delivery_id: uuid.UUID) -> WebhookDelivery:
    """Raises `NotFound`."""
    found = deliveries_of(webhook_id).filter(pk=delivery_id).first()
    if found is None:
        raise NotFound("There is no such delivery.")
    return found


def ended_events(before: datetime.datetime) -> QuerySet[Any]:
    """Events from before then that wait for no webhook."""
    waiting = WebhookDelivery.objects.filter(event=OuterRef("pk"), state=WebhookDelivery.State.WAITING)
    return WebhookEvent.objects.filter(~Exists(waiting), created_at__lt=before)

"""Puts events into the outbox: in the transaction of what they tell of, for the webhooks that want them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db import connection, transaction
from django.utils import timezone

from ollamamax.notifications.attempts import DAY
from ollamamax.notifications.events import wants
from ollamamax.notifications.models import Webhook, WebhookDelivery, WebhookEvent
from ollamamax.notifications.payload import Payload, encoded


def queue_events(
    tenant: uuid.UUID, payloads: Iterable[Payload], webhooks: Iterable[Webhook], *, asked: bool = False
) -> list[WebhookDelivery]:
    """Each event for those of ``webhooks`` that want it, or for all, where somebody ``asked`` for it; nothing is kept of one that
    nobody wants. Queries: 2 or none.

    Raises `TransactionManagementError` outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an event must be queued in the transaction of what it tells of")
    now, listening = timezone.now(), list(webhooks)
    events: list[WebhookEvent] = []
    deliveries: list[WebhookDelivery] = []
    for payload in payloads:
        wanting = [
            each
            for each in listening
            if asked or (wants(each.events, payload.type) and payload.timestamp >= each.since)
        ]
        if not wanting:
            continue
        event = WebhookEvent(tenant_id=tenant, type=payload.type, at=payload.timestamp, body=encoded(payload).decode())
        events.append(event)
        deliveries += [
            WebhookDelivery(tenant_id=tenant, webhook=each, event=event, next_at=payload.timestamp, until=now + DAY)
            for each in wanting
        ]
    if events:
        WebhookEvent.objects.bulk_create(events, batch_size=1000)
        WebhookDelivery.objects.bulk_create(deliveries, batch_size=1000)
    return deliveries

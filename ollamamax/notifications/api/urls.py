"""Addresses of notifications below `/api/v1/`."""

from __future__ import annotations

from django.urls import path

from ollamamax.identity.api.bulk import bulk_of
from ollamamax.notifications.api.delivery import WebhookDeliveryListView, WebhookDeliveryView, WebhookRedeliverView
from ollamamax.notifications.api.stream import AuditStreamListView, AuditStreamView
from ollamamax.notifications.api.webhook import (
    WebhookEventsView,
    WebhookListView,
    WebhookRotateView,
    WebhookTestView,
    WebhookView,
)

_ONE = "webhooks/<uuid:webhook_id>"
_DELIVERY = f"{_ONE}/deliveries/<uuid:delivery_id>"

urlpatterns = [
    path("audit/streams", AuditStreamListView.as_view(), name="audit-streams"),
    path("audit/streams/<uuid:stream_id>", AuditStreamView.as_view(), name="audit-stream"),
    path("webhooks", WebhookListView.as_view(), name="webhooks"),
    path("webhooks/bulk", bulk_of(WebhookView, "webhook_id", "webhooks").as_view(), name="webhooks-bulk"),
    path("webhooks/events", WebhookEventsView.as_view(), name="webhook-events"),
    path(_ONE, WebhookView.as_view(), name="webhook"),
    path(f"{_ONE}/rotate", WebhookRotateView.as_view(), name="webhook-rotate"),
    path(f"{_ONE}/test", WebhookTestView.as_view(), name="webhook-test"),
    path(f"{_ONE}/deliveries", WebhookDeliveryListView.as_view(), name="webhook-deliveries"),
    path(_DELIVERY, WebhookDeliveryView.as_view(), name="webhook-delivery"),
    path(f"{_DELIVERY}/redeliver", WebhookRedeliverView.as_view(), name="webhook-redeliver"),
]

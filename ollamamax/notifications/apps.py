"""Tells other programs what happened in a tenant: webhooks, signed and tried again until they arrive."""

from __future__ import annotations

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "ollamamax.notifications"
    label = "notifications"

    def ready(self) -> None:
        from ollamamax.identity.departure import exported
        from ollamamax.identity.retention import ENDINGS, ExpiringRows
        from ollamamax.notifications.models import AuditStream, Webhook
        from ollamamax.notifications.queries.delivery import ended_events

        exported(
            "webhooks",
            lambda: Webhook.objects.all(),
            *("id", "url", "description", "events", "enabled", "disabled_reason", "created_by_name", "created_at"),
        )
        exported(
            "audit_streams",
            lambda: AuditStream.objects.all(),
            *("id", "name", "host", "port", "form", "authority", "answered", "enabled", "created_at"),
        )
        ENDINGS.append(ExpiringRows("", "OLLAMAMAX_WEBHOOK_LOG_DAYS", ended_events))

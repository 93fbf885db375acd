"""Tells other programs what happened in a tenant: webhooks, signed and tried again until they arrive."""

from __future__ import annotations

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "ollamamax.notifications"
    label = "notifications"

    def ready(self) -> None:
        from ollamamax.identity.retention import ENDINGS, ExpiringRows
        from ollamamax.notifications.queries.delivery import ended_events

        ENDINGS.append(ExpiringRows("", "OLLAMAMAX_WEBHOOK_LOG_DAYS", ended_events))

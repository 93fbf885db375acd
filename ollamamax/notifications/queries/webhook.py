"""Reads of webhooks."""

from __future__ import annotations

import datetime
import uuid

from django.conf import settings
from django.db.models import Count, Q, QuerySet

from ollamamax.kernel.errors import NotFound
from ollamamax.notifications.models import Webhook


def webhooks() -> QuerySet[Webhook]:
    """Those of the tenant in scope, each with how many deliveries are ``waiting``."""
    return Webhook.objects.annotate(waiting=Count("deliveries", filter=Q(deliveries__state="waiting")))


def get_webhook(webhook_id: uuid.UUID) -> Webhook:
    """Raises `NotFound`."""
    found = webhooks().filter(pk=webhook_id).first()
    if found is None:
        raise NotFound("There is no such webhook.")
    return found


def place_of(webhook_id: uuid.UUID) -> str:
    """What a webhook's secrets are sealed for."""
    return f"webhook:{webhook_id.hex}"


def secrets_of(webhook: Webhook, now: datetime.datetime) -> tuple[bytes, ...]:
    """Those that sign now, the newest first. Raises `CannotOpen`."""
    sealed = [webhook.secret]
    if webhook.previous_secret is not None and webhook.previous_until is not None and webhook.previous_until > now:
        sealed.append(webhook.previous_secret)
    return tuple(settings.SECRET_BOX.open(bytes(each), place_of(webhook.id)) for each in sealed)

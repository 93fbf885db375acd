"""Mail: letters wait in an outbox until a mail server takes them. Refers to no other context."""

from __future__ import annotations

from django.apps import AppConfig


class MailConfig(AppConfig):
    name = "ollamamax.mail"
    label = "mail"

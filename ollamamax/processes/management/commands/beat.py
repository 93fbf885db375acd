"""``ollamamax beat``: sends the control loops' ticks. Its lock is in Redis, so two may run and one does the work."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ollamamax.celery import app


class Command(BaseCommand):
    help = "Send the control loops' ticks."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        app.start(["beat", "--loglevel", "warning"])

"""``ollamamax beat``: sends the control loops' ticks. Its lock is in Redis, so two may run and one does the work."""

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand

from ollamamax.celery import app
from ollamamax.processes.ticks import Ticks


class Command(BaseCommand):
    help = "Send the control loops' ticks."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        ticks = Ticks(app)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ticks.stop())
        ticks.run()

"""``ollamamax controller``: runs the control loops. Several may run: a lease says who does the work."""

from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

import ollamamax.celery  # noqa: F401 - what is sent to nodes is sent by this application
from ollamamax.bus import loops
from ollamamax.bus.controller import Controller, every_loop
from ollamamax.observability import start as metrics


class Command(BaseCommand):
    help = "Run the control loops; several may run."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        controller = Controller(every_loop())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: controller.begin_stop())
        with metrics.served("controller", settings.ENV, settings.HOME):
            controller.start()
            controller.wait()
            controller.stop()
        loops.stopped()

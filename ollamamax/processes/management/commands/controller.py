"""``ollamamax controller``: the Celery worker of the control plane's loops, with the schedule inside if asked."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ollamamax.celery import CONTROL_QUEUE, app
from ollamamax.processes.ticks import Ticks

THREADS = 4


class Command(BaseCommand):
    help = "Run the control loops; several may run."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--beat", action="store_true", help="send the loops' ticks too, so that no `beat` is needed"
        )

    def handle(self, *args: Any, beat: bool, **options: Any) -> None:
        arguments = ["worker", "--queues", CONTROL_QUEUE, "--pool", "threads", "--concurrency", str(THREADS)]
        quiet = ["--loglevel", "warning", "--without-gossip", "--without-mingle", "--without-heartbeat"]
        if beat:
            Ticks(app).in_background()
        app.worker_main([*arguments, *quiet])

"""``ollamamax web``: serves `ollamamax.asgi` with the server that OLLAMAMAX_ASGI_SERVER names."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from ollamamax.observability import start as metrics
from ollamamax.processes.server import serve


class Command(BaseCommand):
    help = "Serve the gateway, the management API, live events and the console (HOST, PORT)."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        from ollamamax.asgi import application

        with metrics.served("web", settings.ENV, settings.HOME):
            serve(application, settings.ENV, settings.PORT)

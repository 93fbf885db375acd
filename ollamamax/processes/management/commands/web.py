"""``ollamamax web``: serves `ollamamax.asgi` with uvicorn, or with daphne where OLLAMAMAX_ASGI_SERVER says so."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

GRACE_SECONDS = 20
"""How long streams may go on after SIGTERM before they are cut."""


class Command(BaseCommand):
    help = "Serve the gateway, the management API, live events and the console (HOST, PORT)."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ENV["OLLAMAMAX_ASGI_SERVER"] == "daphne":
            _daphne()
        else:
            _uvicorn()


def _uvicorn() -> None:
    import uvicorn

    uvicorn.run(
        "ollamamax.asgi:application",
        host=settings.HOST,
        port=settings.PORT,
        loop="uvloop",
        http="httptools",
        ws="wsproto",
        lifespan="on",
        ssl_certfile=settings.ENV["OLLAMAMAX_TLS_CERT"] or None,
        ssl_keyfile=settings.ENV["OLLAMAMAX_TLS_KEY"] or None,
        proxy_headers=settings.ENV["OLLAMAMAX_TLS_PROXY"],
        forwarded_allow_ips=settings.ENV["OLLAMAMAX_PROXY_ADDRESSES"],
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=75,
        backlog=2048,
    )


def _daphne() -> None:
    from daphne.endpoints import build_endpoint_description_strings
    from daphne.server import Server

    from ollamamax.asgi import application

    cert, key = settings.ENV["OLLAMAMAX_TLS_CERT"], settings.ENV["OLLAMAMAX_TLS_KEY"]
    if cert:
        address = settings.HOST.replace(":", r"\:")
        endpoints = [f"ssl:{settings.PORT}:privateKey={key}:certKey={cert}:interface={address}"]
    else:
        endpoints = build_endpoint_description_strings(host=settings.HOST, port=settings.PORT)
    proxied = settings.ENV["OLLAMAMAX_TLS_PROXY"]
    Server(
        application,
        endpoints=endpoints,
        server_name="",
        proxy_forwarded_address_header="X-Forwarded-For" if proxied else None,
        proxy_forwarded_proto_header="X-Forwarded-Proto" if proxied else None,
        application_close_timeout=GRACE_SECONDS,
        verbosity=0,
    ).run()

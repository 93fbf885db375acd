"""The addresses of live events: the origin is checked first, then who is logged in, then a consumer takes the socket."""

from __future__ import annotations

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings
from django.urls import path

from dashboard.callers import DirectoryReady
from dashboard.consumers import LiveConsumer
from dashboard.origin import SameOrigin


def websocket(directory: DirectoryReady | None) -> SameOrigin:
    """The application of live sockets; without a directory, sessions alone open them."""
    consumer = LiveConsumer.as_asgi(directory=directory)
    return SameOrigin(
        AuthMiddlewareStack(URLRouter([path("ws/live/", consumer)])),
        public_url=settings.PUBLIC_URL,
        hosts=settings.ALLOWED_HOSTS,
        tls=settings.TLS,
    )

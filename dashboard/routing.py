"""The addresses of live events: `websocket` checks the origin, then who is logged in, then goes to a consumer."""

from __future__ import annotations

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings
from django.urls import path

from dashboard.consumers import LiveConsumer
from dashboard.origin import SameOrigin

websocket = SameOrigin(
    AuthMiddlewareStack(URLRouter([path("ws/live/", LiveConsumer.as_asgi())])),
    public_url=settings.PUBLIC_URL,
    hosts=settings.ALLOWED_HOSTS,
    tls=settings.TLS,
)

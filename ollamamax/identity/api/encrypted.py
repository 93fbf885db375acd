"""HTTPS for all but this machine itself: Django's redirect, with one exception."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponsePermanentRedirect
from django.middleware.security import SecurityMiddleware

_FORWARDED = (
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_FORWARDED",
    "HTTP_X_REAL_IP",
)


class Encrypted(SecurityMiddleware):
    """What comes past the TLS proxy, from a program of this machine that calls it by its local address, never was on a
    network: nodes here and `make up` itself are answered without TLS, as they are where there is no proxy."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if is_local(request) else super().process_request(request)


def is_local(request: HttpRequest) -> bool:
    """Whether nobody forwarded the request. A proxy on this machine calls from loopback too, but says for whom, or under which name."""
    if any(name in request.META for name in _FORWARDED):
        return False
    name = urlsplit(f"//{request.META.get('HTTP_HOST', '')}").hostname or ""
    address = str(request.META.get("REMOTE_ADDR", ""))
    return name in {"localhost", "127.0.0.1", "::1", settings.HOST} and _is_this_machine(address)


def _is_this_machine(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback or address == settings.HOST
    except ValueError:
        return False

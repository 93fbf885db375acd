"""Whether a page may open a live socket: its origin, compared whole, is this installation's (RFC 6454)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.http.request import validate_host

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[Any]]
_PORTS = {"http": 80, "https": 443}


def origin_of(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin or a URL; ``None`` for what is neither http nor https, or names a user."""
    try:
        parts = urlsplit(text.strip().lower())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port


def is_same_origin(origin: str, *, scheme: str, host: str, public_url: str, hosts: Collection[str]) -> bool:
    """Whether ``origin`` is the public URL's, or that of the address the request itself was sent to.

    ``scheme`` is http or https, as the client used it; ``host`` is the request's Host, whose name must be one of ``hosts``:
    otherwise a name that somebody else lets point here would be an origin of ours.
    """
    given = origin_of(origin)
    if given is None:
        return False
    if given == origin_of(public_url):
        return True
    own = origin_of(f"{scheme}://{host}")
    if given != own:
        return False
    name = f"[{given[1]}]" if ":" in given[1] else given[1]
    return validate_host(name, list(hosts))


class SameOrigin:
    """Lets a WebSocket through to ``application`` from a page of this installation, or from a program with an API key."""

    def __init__(self, application: Application, *, public_url: str, hosts: Collection[str], tls: bool) -> None:
        self._application = application
        self._public_url = public_url
        self._hosts = hosts
        self._tls = tls

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> Any:
        headers = dict(scope["headers"])
        if b"authorization" in headers and b"origin" not in headers:
            # A program with a key. No page can send this header, and every page sends its origin.
            return await self._application(scope, receive, send)
        # Not every server names the scheme of a WebSocket; behind a proxy it is the forwarded one.
        secure = scope.get("scheme") in {"wss", "https"} if scope.get("scheme") else self._tls
        if is_same_origin(
            headers.get(b"origin", b"").decode("latin-1"),
            scheme="https" if secure else "http",
            host=headers.get(b"host", b"").decode("latin-1"),
            public_url=self._public_url,
            hosts=self._hosts,
        ):
            return await self._application(scope, receive, send)
        return await WebsocketDenier()(scope, receive, send)

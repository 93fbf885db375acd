"""What any client may expect of HTTP before a route is chosen: preflights, HEAD, and bodies in the forms that clients send them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from ollamamax.gateway import packed
from ollamamax.gateway.cors import Origins
from ollamamax.gateway.http import Receive, Scope, Send, header, named

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Methods = Callable[[str], Sequence[str]]
"""The methods of a path; none for one that is not there."""

OPEN_HEAD = frozenset({"/", "/api/tags", "/api/version", "/api/ps", "/v1/models"})
"""HEAD is answered here without a key: it tells nothing but that somebody listens, which is what its senders ask."""


class Front:
    """Stands before an application whose routes ``methods`` knows."""

    def __init__(self, origins: Origins, methods: Methods) -> None:
        self._origins = origins
        self._methods = methods

    def __call__(self, application: Application, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["method"] == "POST" and b"origin" not in named(scope):
            return application(*packed.unpacked(scope, receive), send)
        return self._serve(application, scope, receive, send)

    async def _serve(self, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        origin = header(scope, b"origin")
        method, path = scope["method"], scope["path"]
        if method == "OPTIONS" and await self._options(path, origin, scope, send):
            return
        if origin is not None:
            send = _with_headers(send, self._origins.headers(origin))
        if method == "HEAD" and _is_get(self._methods(path)):
            if path in OPEN_HEAD and header(scope, b"authorization") is None:
                await _empty(send, 200, [(b"content-type", b"application/json")])
                return
            scope, send = {**scope, "method": "GET"}, _headless(send)
        if method != "GET":
            scope, receive = packed.unpacked(scope, receive)
        await application(scope, receive, send)

    async def _options(self, path: str, origin: str | None, scope: Scope, send: Send) -> bool:
        """Answer what may be asked for. ``False`` for a path that is not there, unless a browser asks whether a page may."""
        if origin is not None and header(scope, b"access-control-request-method") is not None:
            wanted = header(scope, b"access-control-request-headers")
            await _empty(send, 204, self._origins.preflight(origin, wanted))
            return True
        methods = self._methods(path)
        if not methods:
            return False
        more = self._origins.headers(origin) if origin is not None else []
        await _empty(send, 204, [(b"allow", allowed(methods)), *more])
        return True


def allowed(methods: Sequence[str]) -> bytes:
    """The value of ``Allow``: with those that are answered for every route."""
    return ", ".join(dict.fromkeys([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])).encode()


def _is_get(methods: Sequence[str]) -> bool:
    return "GET" in methods and "HEAD" not in methods


async def _empty(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _with_headers(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def send_more(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return send_more


def _headless(send: Send) -> Send:
    async def send_head(message: MutableMapping[str, Any]) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head

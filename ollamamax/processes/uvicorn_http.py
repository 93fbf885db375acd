"""What uvicorn's HTTP protocol lacks: for a client of HTTP/1.0 a stream ends with its connection, not in chunks (RFC 9112, 6.1)."""

from __future__ import annotations

from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class Http(HttpToolsProtocol):
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = _until_closed(app, cycle)
        super()._start_asgi_task(cycle, app)


def _until_closed(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """``app``, whose responses without a length end when the connection does; uvicorn closes it after every answer to HTTP/1.0."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        framed = True

        async def send_unframed(message: Any) -> None:
            nonlocal framed
            if message["type"] == "http.response.start":
                framed = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                if not framed:
                    cycle.chunked_encoding = False
            elif not framed:
                # uvicorn counts what it sends against a length; each part is as long as it is.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unframed)

    return run

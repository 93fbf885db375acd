"""`/metrics` on the port of a web process or gateway: for who has the token, and not there where none is set."""

from __future__ import annotations

import asyncio

from ollamamax.gateway.http import Scope, Send, header, respond
from ollamamax.observability import start
from ollamamax.observability.listener import PATH


def is_meant(scope: Scope) -> bool:
    """Whether this is it, in a process that serves it."""
    return scope["path"] == PATH and start.current is not None and bool(start.current.token)


async def tell(scope: Scope, send: Send) -> None:
    page = start.current
    assert page is not None  # noqa: S101 - it is meant
    if not page.takes(header(scope, b"authorization")):
        await respond(send, 401, b"", [(b"www-authenticate", b"Bearer")], b"text/plain")
        return
    body, content_type = await asyncio.to_thread(page.render, header(scope, b"accept"))
    await respond(send, 200, body, [(b"cache-control", b"no-store")], content_type.encode())

"""`/metrics` on the port of a web process or gateway: for who has the token, and not there where none is set."""

from __future__ import annotations

import asyncio

from ollamamax.gateway.http import Scope, Send, header, respond
from ollamamax.observability import start
from ollamamax.observability.exposition import Page
from ollamamax.observability.listener import PATH


def meant(scope: Scope) -> Page | None:
    """The page, where a request asks for it in a process that serves it."""
    page = start.current
    return page if scope["path"] == PATH and page is not None and page.token else None


async def tell(page: Page, scope: Scope, send: Send) -> None:
    if not page.takes(header(scope, b"authorization")):
        await respond(send, 401, b"", [(b"www-authenticate", b"Bearer")], b"text/plain")
        return
    body, content_type = await asyncio.to_thread(page.render, header(scope, b"accept"))
    await respond(send, 200, body, [(b"cache-control", b"no-store")], content_type.encode())

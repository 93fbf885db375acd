"""The least that a gateway in Python can do: an ASGI application that passes on what it is sent, and knows nothing.

No keys, limits, queue, records, choice of a node, or protocol but HTTP. Run by uvicorn, as ours, in the same environment.
"""

from __future__ import annotations

import os

import aiohttp
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope


class Bare:
    """``engine`` is the base URL of what is behind it."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._client: aiohttp.ClientSession

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http":
            await self._pass_on(scope["path"], receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)

    async def _live(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._client.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _pass_on(self, path: str, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message["body"], message["more_body"]
        async with self._client.post(self._engine + path, data=body) as answer:
            kind = answer.headers.get("content-type", "").encode()
            await send(
                {
                    "type": "http.response.start",
                    "status": answer.status,
                    "headers": [(b"content-type", kind)],
                    "trailers": False,
                }
            )
            async for part in answer.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


app = Bare(os.environ.get("ENGINE", ""))

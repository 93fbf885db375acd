"""The gateway as a whole ASGI application: inference in a process of its own, without Django and without the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ollamamax.gateway import greeting, metrics_page, paths, readiness, upgrade
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.cors import Origins
from ollamamax.gateway.front import Front
from ollamamax.gateway.http import Receive, Scope, Send, respond
from ollamamax.kernel import heap


class Standalone:
    """What the web process serves beside inference is not found here. ``ending``: what else stops when the gateway has stopped."""

    def __init__(
        self,
        gateway: Gateway,
        origins: Origins | None = None,
        ending: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.gateway = gateway
        self._ending = ending
        self._front = Front(origins or Origins(), self._methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await upgrade.refuse(scope, receive, send)
        elif scope["path"] == "/healthz":
            await respond(send, 200, b'{"status":"ok"}')
        elif (page := metrics_page.meant(scope)) is not None:
            await metrics_page.tell(page, scope, send)
        elif scope["path"] == readiness.PATH:
            await readiness.tell(send, await self.gateway.problems())
        else:
            scope["path"] = paths.mended(scope["path"])
            application = greeting.greet if scope["path"] == "/" else self.gateway
            await self._front(application, scope, receive, send)

    def _methods(self, path: str) -> list[str]:
        return ["GET"] if path == "/" else self.gateway.methods(path)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.gateway.begin()
                heap.keep()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.gateway.stop()
                if self._ending is not None:
                    await self._ending()
                await send({"type": "lifespan.shutdown.complete"})
                return

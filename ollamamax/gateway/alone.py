"""The gateway as a whole ASGI application: inference in a process of its own, without Django and without the database."""

from __future__ import annotations

from ollamamax.gateway import greeting
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.http import Receive, Scope, Send, respond
from ollamamax.kernel import heap


class Alone:
    """What the web process serves beside inference is not found here."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["path"] in {"/healthz", "/readyz"}:
            if scope["path"] == "/readyz":
                await self.gateway.start()  # not every server has a lifespan
            await respond(send, 200, b'{"status":"ok"}')
        elif greeting.is_meant(scope):
            await greeting.greet(scope, send)
        else:
            await self.gateway(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.gateway.start()
                heap.keep()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.gateway.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

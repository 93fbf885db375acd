"""The web process: inference gateway, model management, registry blobs, live events, console and management API behind one address."""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ollamamax.settings")

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from servestatic import ServeStaticASGI

django = get_asgi_application()

from cluster.dispatch.admission import Bounds
from dashboard.hub import stop_hub
from dashboard.routing import websocket
from models_registry.protocol.blobs import Blobs
from models_registry.protocol.ollama import Management, RegistryLimits
from models_registry.protocol.peers import certify, give_leave, tell_source
from models_registry.protocol.returned import take_back
from models_registry.protocol.routes import route_of
from models_registry.protocol.v2.application import Distribution
from models_registry.transfer.reference import Allowed
from ollamamax.batches.protocol.files import Files
from ollamamax.batches.protocol.routes import Routes
from ollamamax.blobs.places import sources
from ollamamax.bus.directory import Directory
from ollamamax.contract import tables
from ollamamax.gateway import greeting, metrics_page, paths, readiness, upgrade
from ollamamax.gateway.app import Gateway
from ollamamax.gateway.cors import Origins
from ollamamax.gateway.front import Application, Front
from ollamamax.gateway.http import Receive, Scope, Send, encode, header, respond
from ollamamax.gateway.routes import ROUTES
from ollamamax.kernel import errors, heap
from ollamamax.responses.protocol.keeper import Keeper
from ollamamax.responses.protocol.routes import routes as response_routes

MOST_BYTES = 2 << 20
"""Largest body that Django is given; it would keep a larger one on disk before it looks at it."""


class Web:
    """Chooses by path. The gateway comes before Django, so that inference never passes its middleware."""

    def __init__(self) -> None:
        batch_routes = Routes(
            Files(
                sources(settings.HOME, "files", settings.ENV),
                settings.ENV["OLLAMAMAX_MAX_FILE_BYTES"],
                settings.ENV["OLLAMAMAX_MAX_TENANT_FILES_BYTES"],
            )
        )
        self.directory = Directory(settings.REDIS_URL, tables.ALL)
        self.gateway = Gateway(
            self.directory,
            settings.REDIS_URL,
            max_body=settings.ENV["OLLAMAMAX_MAX_BODY_BYTES"],
            deadline=settings.ENV["OLLAMAMAX_REQUEST_DEADLINE_SECONDS"],
            bounds=Bounds.of(settings.ENV),
            intake=settings.ENV["OLLAMAMAX_INTAKE_PER_TENANT"],
            recorded_refusals=settings.ENV["OLLAMAMAX_RECORDED_REFUSALS_PER_MINUTE"],
            region=settings.ENV["OLLAMAMAX_REGION"],
            more_routes=lambda method, path: batch_routes(method, path) or response_routes(method, path),
            keeping=Keeper(
                days=settings.ENV["OLLAMAMAX_RESPONSE_DAYS"],
                deadline=settings.ENV["OLLAMAMAX_REQUEST_DEADLINE_SECONDS"],
                most_body=settings.ENV["OLLAMAMAX_MAX_BODY_BYTES"],
                most_bytes=settings.ENV["OLLAMAMAX_MAX_TENANT_RESPONSES_BYTES"],
            ),
        )
        self.blobs = Blobs(
            sources(settings.HOME, "blobs", settings.ENV),
            self.directory.soon,
            take_back,
            tell_source,
            certify,
            give_leave,
        )
        self.management = Management(
            self.directory.soon,
            RegistryLimits(
                Allowed(tuple(settings.ENV["OLLAMAMAX_PULL_REGISTRIES"])), settings.ENV["OLLAMAMAX_MAX_BLOB_BYTES"]
            ),
        )
        self.distribution = Distribution(self.directory.soon, settings.ENV["OLLAMAMAX_MAX_BLOB_BYTES"])
        self._front = Front(Origins(settings.ENV["OLLAMA_ORIGINS"]), self._methods)
        self.static = ServeStaticASGI(
            django,
            root=settings.STATIC_ROOT,
            prefix=settings.STATIC_URL,
            immutable_file_test=r"^/static/console/assets/",  # Vite puts a hash into their names
            allow_all_origins=False,
        )
        self.live = ProtocolTypeRouter({"websocket": websocket(self.directory.soon)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            if paths.is_ours(scope["path"]):
                await upgrade.refuse(scope, receive, send)
            else:
                await self.live(scope, receive, send)
        elif (page := metrics_page.meant(scope)) is not None:
            await metrics_page.tell(page, scope, send)
        elif Distribution.serves(scope["path"]):
            await self.distribution(scope, receive, send)
        elif (application := self._for_clients(scope)) is not None:
            await self._front(application, scope, receive, send)
        elif Blobs.serves(scope["path"]):
            await self.blobs(scope, receive, send)
        elif scope["path"] == readiness.PATH and (problems := await self.gateway.problems()):
            await readiness.tell(send, problems)
        elif int(header(scope, b"content-length") or 0) > MOST_BYTES:
            await respond(send, 413, _TOO_LARGE, content_type=b"application/problem+json")
        else:
            await self.static(scope, _limited(receive), send)

    def _for_clients(self, scope: Scope) -> Application | None:
        """What answers an inference client or one of Ollama's; ``None`` for a browser, and for all other paths."""
        if scope["path"] in ROUTES:
            return self.gateway
        path = scope["path"] = paths.mended(scope["path"])
        if Management.serves(path):
            return self.management
        if paths.is_ours(path):
            return self.gateway
        if greeting.is_meant(scope):
            return greeting.greet
        if "text/html" in (header(scope, b"accept") or ""):
            return None
        return self.gateway if Gateway.serves(path) else None

    def _methods(self, path: str) -> Sequence[str]:
        route = route_of(path)
        return route.methods if route is not None else ["GET"] if path == "/" else self.gateway.methods(path)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.gateway.begin()
                heap.keep()
                await send({"type": "lifespan.startup.complete"})
            else:
                await stop_hub()
                await self.gateway.stop()
                await self.directory.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


_TOO_LARGE = encode(
    {
        "type": "about:blank",
        "title": "Content Too Large",
        "status": 413,
        "detail": f"The body is larger than {MOST_BYTES} bytes.",
        "code": errors.TooLarge.code,
    }
)


def _limited(receive: Receive) -> Receive:
    """``receive``, for a body that did not say how long it is: Django sees a client that left when it grows too large."""
    size = 0

    async def receive_some() -> MutableMapping[str, Any]:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return {"type": "http.disconnect"} if size > MOST_BYTES else message

    return receive_some


application = Web()

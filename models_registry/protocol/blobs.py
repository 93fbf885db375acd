"""Serves blobs to nodes over HTTP, with ranges (RFC 9110, section 14): an ASGI application without Django."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from models_registry.blob_keys import DIGEST, blob_key
from ollamamax.blobs import reading
from ollamamax.blobs.store import Missing, Store
from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import BLOBS, blob_field
from ollamamax.identity import access
from ollamamax.kernel import errors

PREFIX = "/api/v1/blobs/"


class _OnlyRead(errors.OllamaMaxError):
    code = "method_not_allowed"
    status = 405


class Blobs:
    """A node may read the blobs of its tenant's versions; every other digest does not exist for it."""

    def __init__(self, store: Store, directory: Callable[[], Awaitable[Directory]]) -> None:
        self._store = store
        self._directory = directory

    @staticmethod
    def serves(path: str) -> bool:
        return path.startswith(PREFIX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response: Response = await self._find(scope)
        except errors.OllamaMaxError as error:
            response = JSONResponse(
                {
                    "type": "about:blank",
                    "title": error.code,
                    "status": error.status,
                    "detail": error.message,
                    "code": error.code,
                },
                error.status,
                media_type="application/problem+json",
            )
        await response(scope, receive, send)

    async def _find(self, scope: Scope) -> Response:
        directory = await self._directory()
        node = await access.authenticate(Headers(scope=scope).get("authorization"), directory, None, kind="node")
        if scope["method"] not in {"GET", "HEAD"}:
            raise _OnlyRead("Blobs can only be read here.")
        digest = scope["path"].removeprefix(PREFIX)
        if not DIGEST.fullmatch(digest) or directory.get(BLOBS, blob_field(node.tenant or "", digest)) is None:
            raise errors.NotFound("There is no such blob.")
        try:
            return await reading.response(self._store, blob_key(digest), scope, etag=digest)
        except Missing:
            raise errors.Unavailable("The blob is registered, but its bytes are not on this server.") from None

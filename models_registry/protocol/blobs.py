"""Serves blobs to nodes over HTTP, with ranges (RFC 9110, section 14), and takes back what the store lost: an ASGI application without Django."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from models_registry.blob_keys import DIGEST, blob_key
from models_registry.replication.terms import RATE_HEADER, REGION_RATE_HEADER
from ollamamax import contract
from ollamamax.blobs import reading
from ollamamax.blobs.store import Missing, Store
from ollamamax.bus.directory import Directory
from ollamamax.contract.peers import TransferLeave, piece_size
from ollamamax.contract.tables import BLOBS, NODES, PublishedBlob, blob_field
from ollamamax.identity import access
from ollamamax.identity.access import Where
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal

PREFIX = "/api/v1/blobs/"


class _OnlyRead(errors.OllamaMaxError):
    code = "method_not_allowed"
    status = 405


TakeBack = Callable[[Request, Principal, str, int], Awaitable[Response]]
"""Answers a node that sends a blob of so many bytes back."""
TellSource = Callable[[Principal, str, PublishedBlob, bool], Awaitable[bytes]]
"""Where a node has a blob from: the JSON of `ollamamax.contract.peers.BlobSource`, with the hashes of its pieces or without."""

GiveLeave = Callable[[Principal, str, int, int], Awaitable[bytes]]
"""When a node of this region may take so many bytes, where all of them together take so many a second: the JSON of a `TransferLeave`."""
PARTS = frozenset({"", "source", "leave"})


class Blobs:
    """A node may read the blobs of its tenant's versions; every other digest does not exist for it."""

    def __init__(
        self,
        store: Store,
        directory: Callable[[], Awaitable[Directory]],
        take_back: TakeBack,
        tell_source: TellSource,
        certify: Callable[[Principal], Awaitable[bytes]],
        give_leave: GiveLeave,
    ) -> None:
        self._store = store
        self._tell_source, self._certify, self._give_leave = tell_source, certify, give_leave
        self._directory = directory
        self._take_back = take_back

    @staticmethod
    def serves(path: str) -> bool:
        return path.startswith(PREFIX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response: Response = await self._find(scope, receive)
        except ClientDisconnect:
            return
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

    async def _find(self, scope: Scope, receive: Receive) -> Response:
        directory = await self._directory()
        authorization = Headers(scope=scope).get("authorization")
        node = await access.authenticate(authorization, directory, None, where=Where.of(scope), kind="node")
        if scope["method"] not in {"GET", "HEAD", "PUT"}:
            raise _OnlyRead("Blobs are read here, and sent back.")
        digest, _, part = scope["path"].removeprefix(PREFIX).partition("/")
        if digest == "certificate" and not part and scope["method"] == "GET":
            return Response(await self._certify(node), media_type="application/json")
        known = directory.get(BLOBS, blob_field(node.tenant or "", digest)) if DIGEST.fullmatch(digest) else None
        if known is None or part not in PARTS or (part and scope["method"] != "GET"):
            raise errors.NotFound("There is no such blob.")
        query = scope.get("query_string", b"")
        if part == "source":
            found = await self._tell_source(node, digest, known, b"hashes=0" not in query)
            return Response(found, media_type="application/json")
        if part == "leave":
            count = _count(query, piece_size(known.size))
            if known.region_rate is None:
                return Response(contract.encode_json(TransferLeave(count, 0.0)), media_type="application/json")
            about = directory.get(NODES, uuid.UUID(node.id).hex)
            region = about.region if about is not None else ""
            given = await self._give_leave(node, region, count, known.region_rate)
            return Response(given, media_type="application/json")
        if scope["method"] == "PUT":
            return await self._take_back(Request(scope, receive), node, digest, known.size)
        try:
            response = await reading.response(self._store, blob_key(digest), scope, etag=digest)
        except Missing:
            raise errors.Unavailable("The blob is registered, but its bytes are not on this server.") from None
        if known.rate is not None:
            response.headers[RATE_HEADER] = str(known.rate)
        if known.region_rate is not None:
            response.headers[REGION_RATE_HEADER] = str(known.region_rate)
        return response


def _count(query: bytes, most: int) -> int:
    """No more than a piece: leave for more would have the other nodes wait for as long as that takes."""
    text = query.removeprefix(b"bytes=")
    count = int(text) if text.isdigit() and len(text) < 12 else 0
    if not 0 < count <= most:
        raise errors.InvalidRequest(f"'bytes' is 1 to {most}, the size of a piece.", param="bytes")
    return count

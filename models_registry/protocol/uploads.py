"""``/api/blobs/:digest``: what clients send to make models of. Streamed to disk, and kept only when it is what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from models_registry.actions.blob import blob_store, keep_upload, refuse_beyond_quota
from models_registry.blob_keys import DIGEST, digest_of
from models_registry.queries.blob import has_blob
from ollamamax.blobs.staging import Incoming
from ollamamax.bus.database import in_database
from ollamamax.identity.bounds import sending
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.disk import told_when_full
from ollamamax.kernel.errors import InvalidRequest, TooLarge
from ollamamax.kernel.principal import Principal

_BATCH = 1 << 20


async def answer(
    request: Request, acting: Principal, digest: str, most: int, still_works: Callable[[], None]
) -> Response:
    """HEAD: whether the tenant has the blob. POST: take it. Raises what `requests.read` and ``still_works`` raise, and `DiskFull`."""
    if not DIGEST.fullmatch(digest):
        raise InvalidRequest("invalid digest format", param="digest")
    has = await in_database(lambda: _has(acting, digest))
    if request.method == "HEAD":
        return Response(status_code=200 if has else 404)
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdigit() else 0
    if size > most:
        raise _too_large(most)
    if has:
        async for _ in request.stream():
            pass  # a client that is answered before it has sent everything takes that for a failure
        return Response(status_code=200)
    await in_database(lambda: _refuse_beyond_quota(acting, size))
    staging = blob_store().staging
    await asyncio.to_thread(staging.require_free, size)
    with told_when_full():
        incoming = await asyncio.to_thread(staging.receive)
        try:
            with sending(acting.tenant or ""):
                await _receive(request, incoming, most, still_works)
            if digest_of(incoming) != digest:
                raise InvalidRequest(
                    f'digest mismatch, expected "{digest}", got "{digest_of(incoming)}"', param="digest"
                )
            await in_database(lambda: keep_upload(acting=acting, incoming=incoming))
        finally:
            await asyncio.to_thread(incoming.discard)
    return Response(status_code=201)


def _has(acting: Principal, digest: str) -> bool:
    with tenant_scope(acting.tenant or ""):
        return has_blob(digest)


def _refuse_beyond_quota(acting: Principal, size: int) -> None:
    with tenant_scope(acting.tenant or ""):
        refuse_beyond_quota(size)


async def _receive(request: Request, incoming: Incoming, most: int, still_works: Callable[[], None]) -> None:
    batch = bytearray()
    async for part in request.stream():
        batch += part
        if incoming.size + len(batch) > most:
            raise _too_large(most)
        if len(batch) >= _BATCH:
            still_works()
            await asyncio.to_thread(incoming.write_if_free, bytes(batch))
            batch.clear()
    still_works()
    await asyncio.to_thread(incoming.write_if_free, bytes(batch))
    await asyncio.to_thread(incoming.finish)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The blob is larger than the {most} bytes this server accepts.", limit=most)

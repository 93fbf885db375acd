"""``PUT /api/v1/blobs/<digest>``: a node sends back a blob that the store has lost."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from models_registry.actions.blob import blob_store
from models_registry.actions.scrub import is_damaged, restore_blob
from models_registry.blob_keys import digest_of
from ollamamax.blobs.staging import Incoming
from ollamamax.bus.database import in_database
from ollamamax.identity.bounds import sending
from ollamamax.kernel.disk import told_when_full
from ollamamax.kernel.errors import InvalidRequest, NotFound, TooLarge
from ollamamax.kernel.principal import Principal

_BATCH = 1 << 20


async def take_back(request: Request, node: Principal, digest: str, size: int) -> Response:
    """A node is not believed: what it sends is kept only when it is what was lost. Raises `NotFound` where nothing was."""
    if not await in_database(lambda: is_damaged(digest)):
        raise NotFound("This blob is not asked for.")
    staging = blob_store().staging
    await asyncio.to_thread(staging.require_free, size)
    with told_when_full(), sending(node.tenant or ""):
        incoming = await asyncio.to_thread(staging.receive)
        try:
            await _receive(request, incoming, size)
            if digest_of(incoming) != digest:
                raise InvalidRequest("These are other bytes than those of that digest.", param="digest")
            await in_database(lambda: restore_blob(acting=node, staged=incoming, digest=digest))
        finally:
            await asyncio.to_thread(incoming.discard)
    return Response(status_code=204)


async def _receive(request: Request, incoming: Incoming, size: int) -> None:
    batch = bytearray()
    async for part in request.stream():
        batch += part
        if incoming.size + len(batch) > size:
            raise TooLarge(f"The blob has {size} bytes.", limit=size)
        if len(batch) >= _BATCH:
            await asyncio.to_thread(incoming.write_if_free, bytes(batch))
            batch.clear()
    await asyncio.to_thread(incoming.write_if_free, bytes(batch))
    await asyncio.to_thread(incoming.finish)

"""Blobs of a repository: read, in ranges too, and taken away from it."""

from __future__ import annotations

from starlette.responses import Response

from models_registry.actions.blob import blob_store, forget_upload, keep_for_push
from models_registry.blob_keys import blob_key
from models_registry.distribution.faults import blob_unknown
from models_registry.distribution.names import checked_digest
from models_registry.models import Blob
from models_registry.protocol.v2 import access
from models_registry.protocol.v2.call import V2Call
from models_registry.protocol.v2.mirrored import read_blob
from models_registry.queries.mirror import find_mirrored
from models_registry.queries.repository import blob_in, may_push, require_to_pull, within
from ollamamax.blobs import reading
from ollamamax.blobs.store import Missing


async def read(call: V2Call) -> Response:
    """What a client that may push is told to be here stays for a day, so that it need not send it."""
    digest = checked_digest(call.place.item)
    mirrored = await call.database(lambda: find_mirrored(call.acting, call.name))
    if mirrored is None:
        await call.database(lambda: _find(call, digest))
    headers = {"docker-content-digest": digest, "cache-control": "private, max-age=31536000, immutable"}
    if call.request.headers.get("user-agent", "").startswith("ollama/"):
        # Ollama reads the bytes in parts from wherever this says, and without any header that tells who it is.
        signature = access.address(call.caller.known, call.name, digest)
        headers["location"] = call.address(f"blobs/{digest}", signature=signature)
    if call.request.headers.get("if-none-match", "").strip('"') == digest:
        return Response(status_code=304, headers={"etag": f'"{digest}"', **headers})
    if mirrored is not None:
        return await read_blob(call, mirrored, digest, headers)
    try:
        return await reading.response(blob_store(), blob_key(digest), call.request.scope, etag=digest, headers=headers)
    except Missing:
        raise blob_unknown(digest) from None


def _find(call: V2Call, digest: str) -> Blob:
    repository = require_to_pull(call.acting, call.name, new=True)
    found = within(repository, lambda: blob_in(repository, digest))
    if call.request.method == "HEAD" and call.caller.may("push", call.name) and may_push(call.acting, repository):
        keep_for_push(repository, digest)
    return found


async def delete(call: V2Call) -> Response:
    digest = checked_digest(call.place.item)
    await call.database(lambda: forget_upload(acting=call.acting, name=call.name, digest=digest))
    return Response(status_code=202)

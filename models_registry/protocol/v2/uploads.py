"""Blobs on their way into a repository: in one request, in several that go on after each other, or mounted from another repository.

What came in is in no way visible before its digest was verified. A chunk that says where it belongs is taken whole or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterable

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from models_registry.actions.blob import blob_store, keep_pushed, mount_blob, refuse_beyond_quota
from models_registry.distribution.faults import RegistryFault, digest_invalid, size_invalid, upload_unknown
from models_registry.distribution.names import check_name, checked_digest
from models_registry.protocol.v2.call import PULL, V2Call
from models_registry.queries.repository import require_to_push
from ollamamax.blobs.session import BusyUpload, UnknownUpload, UploadSession
from ollamamax.identity.bounds import UPLOADS, sending
from ollamamax.identity.scope import current_tenant, tenant_scope
from ollamamax.kernel.disk import told_when_full
from ollamamax.kernel.errors import Conflict, TooLarge

_BATCH = 1 << 20
_AHEAD = 8
"""Batches that wait to be written, at most."""
_RANGE = re.compile(r"(?:bytes )?(\d{1,18})-(\d{1,18})(?:/.*)?", re.ASCII)


class _OutOfOrder(RegistryFault):
    """A chunk that does not begin where the last one ended; ``headers`` say where that is."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__("BLOB_UPLOAD_INVALID", 416, "The chunk does not begin where the last one ended.")
        self.headers = headers


async def begin(call: V2Call) -> Response:
    """POST: a mount where that can be, the whole blob with ``digest``, or the address of a new upload."""
    query = call.request.query_params
    if (mount := query.get("mount")) is not None and await _mounted(call, checked_digest(mount), query.get("from", "")):
        return _created(call, mount)
    digest = query.get("digest")
    if digest is not None:
        checked_digest(digest)
    name = await asyncio.to_thread(_begin, call, await _owner(call))
    if digest is None:
        return Response(status_code=202, headers=_headers(call, name, 0))
    return await _finish(call, name, digest)


async def _mounted(call: V2Call, digest: str, source: str) -> bool:
    if not source or not call.caller.may(PULL, source):
        return False
    check_name(source)
    return await call.database(lambda: mount_blob(acting=call.acting, name=call.name, source=source, digest=digest))


async def state(call: V2Call) -> Response:
    async with _opened(call, call.place.item) as session:
        return Response(status_code=204, headers=_headers(call, call.place.item, session.size))


async def append(call: V2Call) -> Response:
    """PATCH: a chunk, or a stream of any length."""
    async with _opened(call, call.place.item) as session:
        await _receive(call, call.place.item, session)
        return Response(status_code=202, headers=_headers(call, call.place.item, session.size))


async def finish(call: V2Call) -> Response:
    """PUT: the last chunk, if there is one, and what all of it must be."""
    return await _finish(call, call.place.item, checked_digest(call.request.query_params.get("digest", "")))


async def cancel(call: V2Call) -> Response:
    async with _opened(call, call.place.item) as session:
        session.discard()
    return Response(status_code=204)


async def _finish(call: V2Call, name: str, digest: str) -> Response:
    async with _opened(call, name) as session:
        await _receive(call, name, session)
        with told_when_full():
            found = f"sha256:{await asyncio.to_thread(session.finish)}"
        if found != digest:
            session.discard()
            raise digest_invalid(f"What was sent has the digest {found}. It was thrown away.")
        try:
            await call.database(
                lambda: keep_pushed(
                    acting=call.acting, name=call.name, staged=session, digest=digest, size=session.size
                )
            )
        finally:
            session.discard()
    return _created(call, digest)


def _created(call: V2Call, digest: str) -> Response:
    headers = {"location": call.address(f"blobs/{digest}"), "docker-content-digest": digest}
    return Response(status_code=201, headers=headers)


# The file of an upload


async def _owner(call: V2Call) -> str:
    """The tenant that an upload is of. Raises what `require_to_push` raises."""
    repository = await call.database(lambda: require_to_push(call.acting, call.name))
    return repository.owner.hex


def _begin(call: V2Call, owner: str) -> str:
    staging = blob_store().staging
    if staging.count_begun(owner) >= UPLOADS.most:
        raise Conflict(f"This tenant has begun {UPLOADS.most} uploads, as many as it may: finish or cancel some.")
    staging.require_free(0)
    name = uuid.uuid4().hex
    staging.begin_upload(owner, _file_of(call, name))
    return name


def _file_of(call: V2Call, name: str) -> str:
    """An upload is of one repository: under any other it is unknown."""
    return name + hashlib.sha256(call.name.encode()).hexdigest()[:16]


@contextlib.asynccontextmanager
async def _opened(call: V2Call, name: str) -> AsyncIterator[UploadSession]:
    """Raises `RegistryFault` for an upload that is none, or is in use."""
    owner = await _owner(call)
    if re.fullmatch(r"[0-9a-f]{32}", name) is None:
        raise upload_unknown()
    try:
        session = await asyncio.to_thread(blob_store().staging.upload, owner, _file_of(call, name))
    except UnknownUpload:
        raise upload_unknown() from None
    except BusyUpload:
        raise RegistryFault("BLOB_UPLOAD_INVALID", 409, "Another request is sending to this upload.") from None
    try:
        yield session
    finally:
        await asyncio.shield(asyncio.to_thread(session.leave))


def _headers(call: V2Call, name: str, size: int) -> dict[str, str]:
    return {
        "location": call.address(f"blobs/uploads/{name}"),
        "range": f"0-{max(0, size - 1)}",
        "docker-upload-uuid": name,
    }


async def _receive(call: V2Call, name: str, session: UploadSession) -> None:
    """Write the request's body behind what is there. Of one that said its range nothing stays unless all of it came."""
    start, length = session.size, _length(call, session)
    room = await call.database(lambda: _room(call, name, session.size + (length or 0)))
    try:
        with told_when_full(), sending(call.acting.tenant or ""):
            await _write(call, session, start + (length or 0) + room)
        if length is not None and session.size - start != length:
            raise size_invalid(f"The chunk has {session.size - start} bytes, and said {length}.")
    except BaseException as error:
        if not isinstance(error, ClientDisconnect) or "content-range" in call.request.headers:
            await asyncio.shield(asyncio.to_thread(session.cut, start))
        raise


def _length(call: V2Call, session: UploadSession) -> int | None:
    """How many bytes are to come, if the request says so. Raises `RegistryFault` for a chunk that is out of order."""
    headers = call.request.headers
    declared = headers.get("content-length", "")
    length = int(declared) if declared.isascii() and declared.isdigit() else None
    if (text := headers.get("content-range")) is None:
        return length
    found = _RANGE.fullmatch(text)
    if found is None or int(found[1]) > int(found[2]):
        raise RegistryFault("BLOB_UPLOAD_INVALID", 416, "The Content-Range cannot be read.")
    if int(found[1]) != session.size:
        raise _OutOfOrder(_headers(call, call.place.item, session.size))
    ranged = int(found[2]) - int(found[1]) + 1
    if length is not None and length != ranged:
        raise size_invalid("Content-Length and Content-Range say different lengths.")
    return ranged


def _room(call: V2Call, name: str, size: int) -> int:
    """How many bytes may come besides. What was begun elsewhere counts, or many of those would fill the disk. Raises `TooLarge`."""
    if size > call.most_blob:
        raise _too_large(call.most_blob)
    with tenant_scope(call.acting.tenant or ""):
        left = refuse_beyond_quota(size + blob_store().staging.begun(current_tenant().hex, but=_file_of(call, name)))
    return min(left, call.most_blob - size)


async def _write(call: V2Call, session: UploadSession, most: int) -> None:
    """``most``: bytes that the upload may have in the end. While some batches are hashed and written, the next ones come in."""
    batch, size = bytearray(), session.size
    written: deque[asyncio.Future[None]] = deque()

    def write() -> None:
        before = written[-1] if written else None
        written.append(asyncio.ensure_future(_in_turn(before, session, batch)))

    try:
        async for part in call.request.stream():
            batch += part
            if size + len(batch) > most:
                raise _too_large(most)
            if len(batch) < _BATCH:
                continue
            call.still_works()
            size += len(batch)
            write()
            batch = bytearray()
            if len(written) > _AHEAD:
                await written.popleft()
        call.still_works()
    except ClientDisconnect:
        write()
        await asyncio.shield(_all(written))
        raise
    except BaseException:
        await asyncio.shield(asyncio.gather(*written, return_exceptions=True))
        raise
    write()
    await _all(written)


async def _in_turn(before: asyncio.Future[None] | None, session: UploadSession, batch: bytearray) -> None:
    """After the one before, and not at all where that failed."""
    if before is not None:
        await before
    await asyncio.to_thread(session.write, batch)


async def _all(written: Iterable[asyncio.Future[None]]) -> None:
    """Raises what the first raised that failed."""
    for outcome in await asyncio.gather(*written, return_exceptions=True):
        if outcome is not None:
            raise outcome


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"The blob is larger than the {most} bytes that this server accepts here.", limit=most)

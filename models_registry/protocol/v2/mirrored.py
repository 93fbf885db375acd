"""Repositories of mirrors: what the upstream has is fetched when it is asked for, told on while it comes, and kept."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse

from models_registry.actions.blob import blob_store
from models_registry.actions.mirror import (
    forget_tag,
    hold_blob,
    keep_blob,
    keep_image,
    make_room_for,
    note_blob_use,
    note_image_use,
)
from models_registry.blob_keys import blob_key
from models_registry.distribution import image as images
from models_registry.distribution.faults import RegistryFault, manifest_unknown
from models_registry.distribution.names import is_digest, is_tag
from models_registry.manifest import Layer
from models_registry.models import MirroredBlob, MirroredImage
from models_registry.protocol.v2.call import V2Call
from models_registry.queries.mirror import MirroredRepository, kept_image, named_blob
from models_registry.queries.upstream import allowed_registries
from models_registry.transfer.growing import GrowingBlob
from models_registry.transfer.session import RegistryFailed, Session, read_text
from ollamamax import logs
from ollamamax.blobs import reading
from ollamamax.blobs.store import Missing
from ollamamax.bus.database import in_database
from ollamamax.kernel.errors import NotFound, OllamaMaxError, TooLarge

STATE = "x-ollamamax-mirror"
"""Of each answer: ``kept`` here, ``fetched`` for it, or ``stale``, kept here while the upstream does not answer."""
DOWNLOADS_OF_TENANT = 4
_ACCEPT = ", ".join(sorted(images.IMAGES | images.INDEXES))
_log = logs.get(__name__)
T = TypeVar("T")


class Mirroring:
    """What one process fetches: each thing once, for all who ask for it meanwhile."""

    def __init__(self, most_blob: int) -> None:
        self._most_blob = most_blob
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}
        self._growing: dict[tuple[uuid.UUID, str], GrowingBlob] = {}
        self._turns: dict[uuid.UUID, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def manifest(self, mirrored: MirroredRepository, reference: str) -> tuple[MirroredImage, str]:
        """And how it was had. Raises `RegistryFault`, and `RegistryFailed` where the upstream does not answer and nothing is kept."""
        if not (is_digest(reference) or is_tag(reference)):
            raise manifest_unknown(reference)
        kept = await in_database(lambda: kept_image(mirrored, reference))
        if kept is not None:
            image, believed = kept
            await in_database(lambda: note_image_use(image))
            if believed:
                return image, "kept"
        key = (mirrored.mirror.id, mirrored.repository, reference)
        try:
            return await self._once(key, lambda: self._fetch_manifest(mirrored, reference)), "fetched"
        except NotFound:
            if not is_digest(reference):
                await in_database(lambda: forget_tag(mirrored, reference))
            raise manifest_unknown(reference) from None
        except RegistryFailed as error:
            if kept is None:
                raise
            _log.warning("mirror_is_stale", mirror=mirrored.mirror.prefix, error=error.message)
            return kept[0], "stale"

    async def _once(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What ``work`` returns, which runs once for all who ask while it does."""
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(work())
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(task)

    async def _fetch_manifest(self, mirrored: MirroredRepository, reference: str) -> MirroredImage:
        async with Session(mirrored.reference(), allowed_registries()) as session:
            place = session.address(f"manifests/{reference}")
            async with session.request("GET", place, headers={"Accept": _ACCEPT}) as response:
                said = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                body = await read_text(response)
        try:
            image = images.read(body, said if said in images.IMAGES | images.INDEXES else "")
        except RegistryFault as error:
            raise RegistryFailed(f"The upstream's manifest cannot be read: {error.message}") from error
        if is_digest(reference) and image.digest != reference:
            raise RegistryFailed(f"The upstream sent another manifest than {reference}.")
        if (largest := max((each.size for each in _layers(image)), default=0)) > self._most_blob:
            raise TooLarge(
                f"A blob of this image has {largest} bytes; this server takes at most {self._most_blob}.",
                limit=self._most_blob,
            )
        tag = "" if is_digest(reference) else reference
        return await in_database(lambda: keep_image(mirrored, image, tag))

    async def blob(self, mirrored: MirroredRepository, named: MirroredBlob) -> GrowingBlob | None:
        """Have it fetched, where that is not done already; ``None`` where it is here now."""
        key = (mirrored.tenant, named.digest)
        if (growing := self._growing.get(key)) is not None:
            return growing
        if await in_database(lambda: hold_blob(mirrored, named)) is not None:
            return None
        if (growing := self._growing.get(key)) is not None:  # somebody else's meanwhile
            return growing
        part = blob_store().staging.part(mirrored.tenant.hex, named.digest.removeprefix("sha256:"))
        growing = self._growing[key] = GrowingBlob(Layer(named.digest, named.size, named.media_type), part)
        task = asyncio.create_task(self._grow(key, growing, mirrored, named), name="mirror a blob")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return growing

    async def _grow(
        self, key: tuple[uuid.UUID, str], growing: GrowingBlob, mirrored: MirroredRepository, named: MirroredBlob
    ) -> None:
        """Though all who asked for it may have left: the next one goes on with it."""
        name = named.digest.removeprefix("sha256:")

        async def is_here() -> bool:
            begun = blob_store().staging.begun(mirrored.tenant.hex, but=name)
            if await in_database(lambda: hold_blob(mirrored, named)) is not None:
                return True
            await in_database(lambda: make_room_for(mirrored, named.size, begun))
            return False

        async def keep() -> None:
            part = blob_store().staging.part(mirrored.tenant.hex, name)
            await in_database(lambda: keep_blob(mirrored, part, named))

        turns = self._turns.setdefault(mirrored.tenant, asyncio.Semaphore(DOWNLOADS_OF_TENANT))
        try:
            async with turns:
                await growing.run(lambda: Session(mirrored.reference(), allowed_registries()), is_here, keep)
        except OllamaMaxError as error:
            _log.warning("mirror_failed", mirror=mirrored.mirror.prefix, digest=named.digest, error=error.message)
        except Exception:  # noqa: BLE001 - whoever reads it is told, and the log has the trace
            _log.exception("mirror_broke", mirror=mirrored.mirror.prefix, digest=named.digest)
        finally:
            self._growing.pop(key, None)


def _layers(image: images.PushedImage) -> list[Layer]:
    return [*image.blobs, *image.children, *([image.config] if image.config else [])]


async def read_manifest(call: V2Call, mirrored: MirroredRepository) -> tuple[MirroredImage, dict[str, str]]:
    image, how = await call.mirroring.manifest(mirrored, call.place.item)
    return image, {STATE: how}


async def read_blob(call: V2Call, mirrored: MirroredRepository, digest: str, headers: dict[str, str]) -> Response:
    """What is kept is read as every blob; what is not is told on while it comes, but for its last byte, which comes once its digest was verified."""
    named = await call.database(lambda: named_blob(mirrored, digest))
    await call.database(lambda: note_blob_use(named))
    if named.blob is not None and named.blob.damaged_at is None:
        with contextlib.suppress(Missing):
            return await _kept(call, digest, headers, "kept")
    if call.request.method == "HEAD":
        return Response(
            headers=headers | {"content-length": str(named.size), "accept-ranges": "bytes", STATE: "fetched"}
        )
    growing = await call.mirroring.blob(mirrored, named)
    if growing is None:
        return await _kept(call, digest, headers, "kept")
    part = reading.asked_range(call.request.scope, named.size, etag=digest)
    if part.start >= named.size > 0:
        return Response(status_code=416, headers={**headers, **part.headers})
    await growing.reaches(part.start)
    if growing.is_whole:
        return await _kept(call, digest, headers, "fetched")
    return StreamingResponse(
        _told(call, growing, digest, part.start, part.stop),
        part.status,
        {**headers, **part.headers, STATE: "fetched"},
        media_type="application/octet-stream",
    )


async def _kept(call: V2Call, digest: str, headers: dict[str, str], how: str) -> Response:
    store, scope = blob_store(), call.request.scope
    return await reading.response(store, blob_key(digest), scope, etag=digest, headers=headers | {STATE: how})


async def _told(call: V2Call, growing: GrowingBlob, digest: str, start: int, stop: int) -> AsyncIterator[bytes]:
    at = start
    async for piece in growing.pieces(start, stop):
        call.still_works()
        yield piece
        at += len(piece)
    if at < stop:  # it was taken over before it could be opened
        async for piece in reading.pieces(blob_store(), blob_key(digest), at, stop):
            call.still_works()
            yield piece

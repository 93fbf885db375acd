"""Downloads one blob from a registry into a part that is gone on with after every break, and verifies it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from models_registry.manifest import Layer
from models_registry.transfer.session import Broken, RegistryFailed, Session
from ollamamax import logs
from ollamamax.blobs.staging import Part
from ollamamax.kernel.disk import told_when_full

ATTEMPTS = 6
"""Broken connections in a row, without a byte between them, after which a download fails."""
LONGEST_PAUSE = 10.0
SLOW_SECONDS = 60.0
SLOW_BYTES = 64 << 10
"""A registry that sends less than this in that time is as good as silent."""
_CHUNK = 1 << 20
_log = logs.get(__name__)
Progress = Callable[[int], None]


async def download(session: Session, layer: Layer, part: Part, progress: Progress) -> None:
    """Have the whole blob, verified, in ``part``. Raises `RegistryFailed`, `DiskFull`, and what `Session` raises."""
    for _ in range(2):
        with told_when_full():
            found, resumed = await _complete(session, layer, part, progress)
        if found == layer.digest:
            return
        await asyncio.to_thread(part.discard)
        if not resumed:
            break
    raise RegistryFailed(f"digest mismatch, file must be downloaded again: want {layer.digest}, got {found}")


async def _complete(session: Session, layer: Layer, part: Part, progress: Progress) -> tuple[str, bool]:
    """Have all bytes; the digest of what came, and whether some of them were there before."""
    have, digest = await asyncio.to_thread(part.begun, layer.size)
    resumed = have > 0
    part.require_free(layer.size - have)
    progress(have)
    tries = 0
    while have < layer.size:
        before = have
        try:
            have, digest = await _stream(session, layer, part, have, digest, progress)
        except Broken as error:
            have, digest = await asyncio.to_thread(part.begun, layer.size)
            tries = 0 if have > before else tries + 1
            if tries >= ATTEMPTS:
                raise
            _log.info("download_resumes", digest=layer.digest, have=have, size=layer.size, error=error.message)
            await asyncio.sleep(min(LONGEST_PAUSE, 0.1 * 2**tries))
    return f"sha256:{digest.hexdigest()}", resumed


async def _stream(
    session: Session, layer: Layer, part: Part, have: int, digest: Any, progress: Progress
) -> tuple[int, Any]:
    headers = {"Range": f"bytes={have}-"} if have else {}
    async with session.request("GET", session.address(f"blobs/{layer.digest}"), headers=headers) as response:
        if response.status == 200 and have:
            have, digest = 0, hashlib.sha256()  # the registry does not do ranges
        elif response.status == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise RegistryFailed("The registry answered with another range than was asked for.")
        slow = _Pace()
        with part.opened(have) as file:
            async for chunk in _chunks(response):
                if have + len(chunk) > layer.size:
                    raise RegistryFailed(f"The registry sent more than the {layer.size} bytes of this blob.")
                await asyncio.to_thread(_take, file, digest, chunk)
                have += len(chunk)
                slow.took(len(chunk))
                progress(have)
    if have < layer.size:
        raise Broken(f"The registry ended after {have} of {layer.size} bytes.")
    return have, digest


def _chunks(response: aiohttp.ClientResponse) -> Any:
    return response.content.iter_chunked(_CHUNK)


class _Pace:
    """Raises `Broken` when too little came for too long."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._bytes = 0

    def took(self, size: int) -> None:
        self._bytes += size
        if (now := time.monotonic()) - self._since > SLOW_SECONDS:
            if self._bytes < SLOW_BYTES:
                raise Broken(f"The registry sent {self._bytes} bytes in {SLOW_SECONDS:.0f} s.")
            self._since, self._bytes = now, 0


def _take(file: Any, digest: Any, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)

"""Downloads one blob from the control plane: resumed where it stopped, verified while it streams, kept only whole."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from models_registry.worker import blobs
from models_registry.worker.blobs import CHUNK, BlobFolder
from models_registry.worker.pace import BytePace
from ollamamax import logs
from ollamamax.contract.peers import TransferLeave
from ollamamax.kernel.disk import DiskFull, is_full, require_free

ATTEMPTS = 6
"""Broken connections in a row, without a byte between them, after which a download fails."""
LONGEST_PAUSE = 15.0

log = logs.get("models_registry.worker.fetch")
Progress = Callable[[int], None]


class FetchFailed(Exception):
    """The blob could not be had; the text says why, for a person."""


class _Broken(Exception):
    """The connection broke; what came is kept."""


def session(secret: str) -> aiohttp.ClientSession:
    """``secret`` is the node's own; the session must be used for the control plane it joined only."""
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {secret}"},
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=30),
    )


async def ask_leave(client: aiohttp.ClientSession, url: str, count: int) -> TransferLeave | None:
    """When so many bytes of the blob at ``url`` may come, by the control plane; ``None`` where it does not say."""
    try:
        async with client.get(f"{url}/leave?bytes={count}") as response:
            if response.status != 200:
                return None
            return msgspec.json.decode(await response.content.read(4096), type=TransferLeave)
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
        log.info("leave_not_given", error=str(error) or type(error).__name__)
        return None


async def fetch_blob(
    client: aiohttp.ClientSession,
    url: str,
    folder: BlobFolder,
    digest: str,
    size: int,
    progress: Progress,
    pace: BytePace,
) -> None:
    """Have the blob, whole and verified, in ``folder``. ``progress`` is told the bytes that are there; ``pace`` says how fast they come.

    Raises `FetchFailed`. A part that does not lead to the right digest is thrown away, and fetched once more from the
    start if it had been resumed.
    """
    if folder.stamped(digest):
        return
    resumed = folder.part(digest).exists()
    try:
        if await _download(client, url, folder, digest, size, progress, pace):
            return
        folder.part(digest).unlink(missing_ok=True)
        log.warning("part_thrown_away", digest=digest, resumed=resumed)
        if resumed and await _download(client, url, folder, digest, size, progress, pace):
            return
    except DiskFull as error:
        raise FetchFailed(error.message) from error
    except OSError as error:
        raise FetchFailed(told_disk_trouble(error, folder, digest, size)) from error
    folder.part(digest).unlink(missing_ok=True)
    raise FetchFailed(f"The bytes that came for {digest[:19]} are not those of that digest.")


async def _download(
    client: aiohttp.ClientSession,
    url: str,
    folder: BlobFolder,
    digest: str,
    size: int,
    progress: Progress,
    pace: BytePace,
) -> bool:
    """Whether the bytes have the right digest; then they are kept."""
    part = folder.part(digest)
    have, found = await asyncio.to_thread(_start_of, part, size)
    require_free(part.parent, size - have)
    part.touch()  # an empty blob is one too
    tries = 0
    while have < size:
        before = have
        try:
            have, found = await _stream(client, url, part, have, size, found, progress, pace)
        except _Broken as error:
            have = part.stat().st_size if part.exists() else 0
            # The hash ran ahead of what `stat` says only if a write failed; read the file again to be sure.
            have, found = await asyncio.to_thread(_start_of, part, size)
            tries = 0 if have > before else tries + 1
            if tries >= ATTEMPTS:
                raise FetchFailed(f"The control plane cannot be reached: {error}.") from error
            log.info("fetch_resumes", digest=digest, have=have, size=size, error=str(error))
            await asyncio.sleep(min(LONGEST_PAUSE, 0.2 * 2**tries))
    if "sha256:" + found.hexdigest() != digest or have != size:
        return False
    await asyncio.to_thread(blobs.sync, part)
    folder.keep(digest)
    return True


def _start_of(part: Path, size: int) -> tuple[int, Any]:
    """The part's length and hash so far; a part longer than the blob is thrown away."""
    if not part.exists() or part.stat().st_size > size:
        part.unlink(missing_ok=True)
        return 0, hashlib.sha256()
    return part.stat().st_size, blobs.hash_file(part)


async def _stream(
    client: aiohttp.ClientSession,
    url: str,
    part: Path,
    have: int,
    size: int,
    found: Any,
    progress: Progress,
    pace: BytePace,
) -> tuple[int, Any]:
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        async with client.get(url, headers=headers) as response:
            if response.status == 200 and have:
                have, found = 0, hashlib.sha256()  # the server does not do ranges
            elif response.status == 206 and not _begins_at(response, have):
                raise FetchFailed("The control plane answered with another range than was asked for.")
            elif response.status >= 500 or response.status == 429:
                raise _Broken(f"HTTP {response.status}")
            elif response.status not in {200, 206}:
                raise FetchFailed(_refused(response.status))
            pace.told_by(response.headers)
            with part.open("r+b" if have else "wb") as file:
                file.seek(have)
                async for chunk in response.content.iter_chunked(CHUNK):
                    if have + len(chunk) > size:
                        raise FetchFailed(f"The control plane sent more than the {size} bytes of this blob.")
                    await asyncio.to_thread(_take, file, found, chunk)
                    have += len(chunk)
                    progress(have)
                    await pace.take(len(chunk))
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise _Broken(str(error) or type(error).__name__) from error
    return have, found


def _take(file: Any, found: Any, chunk: bytes) -> None:
    file.write(chunk)
    found.update(chunk)


def _begins_at(response: aiohttp.ClientResponse, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _refused(status: int) -> str:
    if status in {401, 403}:
        return "The control plane refused this node's key."
    if status == 404:
        return "The control plane does not have this blob."
    return f"The control plane answered with HTTP {status}."


def told_disk_trouble(error: OSError, folder: BlobFolder, digest: str, size: int) -> str:
    if is_full(error):
        return f"The disk is full: the blob has {size >> 20} MiB ({error.strerror})."
    return f"{folder.part(digest).parent} cannot be written: {error.strerror or error}."

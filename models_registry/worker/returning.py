"""Sends a blob of this node back to the control plane, whose store has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from models_registry.worker.blobs import CHUNK, BlobFolder
from ollamamax import logs

_log = logs.get(__name__)


async def return_blob(client: aiohttp.ClientSession, url: str, folder: BlobFolder, digest: str) -> bool:
    """Whether it was taken. What is not whole here is not sent; who asked asks another node."""
    if not await asyncio.to_thread(folder.verify, digest):
        _log.warning("blob_not_returned", digest=digest, reason="it is not whole here")
        return False
    path = folder.path(digest)
    headers = {"Content-Length": str(path.stat().st_size), "Content-Type": "application/octet-stream"}
    try:
        async with client.put(url, data=_pieces(path), headers=headers) as response:
            _log.info("blob_returned", digest=digest, status=response.status)
            return response.status == 204
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        _log.warning("blob_not_returned", digest=digest, reason=str(error) or type(error).__name__)
        return False


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece

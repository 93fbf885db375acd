"""Reading what a store holds: whole, as a file that is sought in, or piece by piece without blocking; and answering HTTP with it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ollamamax.blobs.file_message import FILE
from ollamamax.blobs.store import Missing, Store

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def read_bytes(store: Store, key: str) -> bytes:
    """All of it, for what is small. Raises `Missing`. Blocks."""
    return b"".join(store.open_range(key))


def open_file(store: Store, key: str) -> BinaryIO:
    """To be read and sought in, with blocking calls; every place that is sought begins a range. Raises `Missing`."""
    size = store.stat(key)
    if size is None:
        raise Missing(key)
    return io.BufferedReader(_Ranges(store, key, size), 64 << 10)


class _Ranges(io.RawIOBase):
    def __init__(self, store: Store, key: str, size: int) -> None:
        self._store, self._key, self._size = store, key, size
        self._at = 0
        self._pieces: Generator[bytes] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at != self._at:
            self._leave()
            self._at = max(0, at)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, into: WriteableBuffer) -> int:
        if not self._rest and self._at < self._size:
            if self._pieces is None:
                self._pieces = self._store.open_range(self._key, self._at)
            self._rest = memoryview(next(self._pieces, b""))
        target = memoryview(into).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._at += count
        return count

    def close(self) -> None:
        self._leave()
        super().close()

    def _leave(self) -> None:
        if self._pieces is not None:
            self._pieces.close()
        self._pieces, self._rest = None, memoryview(b"")


async def pieces(store: Store, key: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
    """As `Store.open_range`, from a thread. Raises `Missing`."""
    found = store.open_range(key, start, stop)
    try:
        while piece := await asyncio.to_thread(next, found, b""):
            yield piece
    finally:
        # Of one that was cancelled while the thread reads, the thread's end is the end.
        with contextlib.suppress(ValueError):
            found.close()


async def response(
    store: Store,
    key: str,
    scope: Scope,
    *,
    etag: str = "",
    filename: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What an ASGI application answers a GET or HEAD with: all, or the range that is asked for (RFC 9110, section 14).

    Of several ranges in one request it sends all. Raises `Missing`.
    """
    size = await asyncio.to_thread(store.stat, key)
    if size is None:
        raise Missing(key)
    sent = dict(headers or {})
    if filename:
        sent["content-disposition"] = _attachment(filename)
    part = asked_range(scope, size, etag=etag)
    sent |= part.headers
    if part.status == 416:
        return Response(status_code=416, headers=sent)
    kind = "application/octet-stream"
    if scope["method"] == "HEAD":
        return Response(status_code=part.status, headers=sent, media_type=kind)
    return _StoredResponse(store, key, part, sent)


class _StoredResponse(StreamingResponse):
    """By the kernel where the store has a file and the server can send one, else piece by piece."""

    def __init__(self, store: Store, key: str, part: AskedRange, headers: Mapping[str, str]) -> None:
        super().__init__(
            pieces(store, key, part.start, part.stop), part.status, headers, media_type="application/octet-stream"
        )
        self._store, self._key, self._part = store, key, part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = (
            await asyncio.to_thread(self._store.local_file, self._key) if FILE in scope.get("extensions", ()) else None
        )
        if file is None:
            await super().__call__(scope, receive, send)
            return
        count = self._part.stop - self._part.start
        with file:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": FILE, "file": file, "offset": self._part.start, "count": count})


@dataclass(frozen=True)
class AskedRange:
    """Bytes from ``start``, and before ``stop``; the status and the headers of the answer."""

    start: int
    stop: int
    status: int
    headers: dict[str, str]


def asked_range(scope: Scope, size: int, *, etag: str = "") -> AskedRange:
    """Which of ``size`` bytes a GET or HEAD asks for, all of them where it asks for several ranges. Status 416: none that is there."""
    asked = Headers(scope=scope)
    sent = {"accept-ranges": "bytes", **({"etag": f'"{etag}"'} if etag else {})}
    same = asked.get("if-range", sent.get("etag")) == sent.get("etag")
    found = _RANGE.fullmatch(asked.get("range", "").replace(" ", "").lower()) if same else None
    wanted = None if found is None else _wanted(found[1], found[2], size)
    if wanted is None:
        return AskedRange(0, size, 200, {**sent, "content-length": str(size)})
    start, stop = wanted
    if start >= size:
        return AskedRange(start, stop, 416, {**sent, "content-range": f"bytes */{size}"})
    sent["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    return AskedRange(start, stop, 206, {**sent, "content-length": str(stop - start)})


def _wanted(first: str, last: str, size: int) -> tuple[int, int] | None:
    """From where, and before what; ``None`` for a range that is none."""
    if first and (not last or int(first) <= int(last)):
        return int(first), min(size, int(last) + 1) if last else size
    return (max(0, size - int(last)), size) if last and not first else None


def _attachment(filename: str) -> str:
    """RFC 6266, section 4."""
    quoted = quote(filename)
    return f'attachment; filename="{filename}"' if quoted == filename else f"attachment; filename*=utf-8''{quoted}"

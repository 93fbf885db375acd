"""A blob that is being fetched, and is read meanwhile by whoever asked for it.

Its digest is known only when all of it is there. Until then its last byte is held back, so that nobody gets the whole of one that is another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO

from models_registry.manifest import Layer
from models_registry.transfer.download import download
from models_registry.transfer.session import Session
from ollamamax.blobs.staging import Part

_PIECE = 1 << 20
_LOOK_SECONDS = 0.2
"""How often it is looked whether another process, which fetches it, has more."""


class GrowingBlob:
    """Of one process. `run` has it whole; `pieces` are read by as many as like, meanwhile and after."""

    def __init__(self, layer: Layer, part: Part) -> None:
        self.layer = layer
        self._part = part
        self._have = 0
        self._beginnings = 0
        self._file = 0
        self._whole = False
        self._error: BaseException | None = None
        self._moved = asyncio.Event()

    async def run(
        self,
        session: Callable[[], Session],
        is_here: Callable[[], Awaitable[bool]],
        keep: Callable[[], Awaitable[None]],
    ) -> None:
        """Fetch it and ``keep`` it; or, where another process does, wait until it ``is_here``. What goes wrong is told to who reads."""
        try:
            with contextlib.ExitStack() as alone:
                while not await asyncio.to_thread(self._part.take, alone):
                    self._look(*await asyncio.to_thread(self._part.grown))
                    await asyncio.sleep(_LOOK_SECONDS)
                if not await is_here():
                    async with session() as opened:
                        await download(opened, self.layer, self._part, self._tell)
                    await keep()
            self._whole = True
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._tell(self.layer.size if self._whole else self._have)

    def _look(self, file: int, have: int) -> None:
        if file != self._file:
            self._file, self._have = file, self.layer.size  # whatever is there now, it was begun anew
        self._tell(have)

    def _tell(self, have: int) -> None:
        if have < self._have:
            self._beginnings += 1
        self._have = have
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    @property
    def is_whole(self) -> bool:
        return self._whole

    async def reaches(self, at: int) -> None:
        """Return when the byte at ``at`` may be read, or all is there. Raises what kept it from coming."""
        while not self._whole and self._readable <= at:
            if self._error is not None:
                raise self._error
            await self._moved.wait()

    @property
    def _readable(self) -> int:
        return min(self._have, self.layer.size - 1)

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """These bytes of it, as they come; none where it was taken over before. Raises what keeps them from coming, and `ConnectionError` when it was
        begun anew: what was given may have been something else."""
        begun = self._beginnings
        file = await asyncio.to_thread(self._part.open)
        if file is None:
            return
        try:
            at = start
            while at < stop:
                await self.reaches(at)
                most = stop if self._whole else min(stop, self._readable)
                piece = await asyncio.to_thread(_read, file, at, min(_PIECE, most - at))
                if not piece or self._beginnings != begun:
                    raise ConnectionError("What was fetched was begun anew.")
                yield piece
                at += len(piece)
        finally:
            file.close()


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)

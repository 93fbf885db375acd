"""Uploads that come in several requests: each is one file, which one request at a time writes to, in whichever process it arrives."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ollamamax.blobs.writeback import EVERY, begin_writeback
from ollamamax.kernel.disk import require_free

_PIECE = 1 << 20
_MOST_REMEMBERED = 256


class UnknownUpload(Exception):
    """No upload of this name was begun, or it is over."""


class BusyUpload(Exception):
    """Another request is writing to it."""


class Hashes:
    """The hashes of uploads of which this process has seen every byte, so that nobody reads them again to learn it."""

    def __init__(self) -> None:
        self._held: OrderedDict[Path, tuple[int, Any]] = OrderedDict()

    def take(self, location: Path, size: int) -> Any | None:
        """The hash (as of `hashlib`) of the first ``size`` bytes, if it is known. It is the caller's from now on."""
        if size == 0:
            return hashlib.sha256()
        held = self._held.pop(location, None)
        return held[1] if held is not None and held[0] == size else None

    def keep(self, location: Path, size: int, digest: Any) -> None:
        self._held[location] = (size, digest)
        while len(self._held) > _MOST_REMEMBERED:
            self._held.popitem(last=False)


_hashes = Hashes()


class UploadSession:
    """One upload while a request has it. Blocks; raises `UnknownUpload` and `BusyUpload` when it is opened.

    A `Staged`, which a store takes over once it is finished and its digest is the one that was said.
    """

    def __init__(self, location: Path) -> None:
        self.location = location
        try:
            self._file = location.open("r+b")
        except FileNotFoundError:
            raise UnknownUpload from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BusyUpload from None
        if os.fstat(self._file.fileno()).st_nlink == 0:  # it was taken over while this opened it
            self._file.close()
            raise UnknownUpload
        self.size = self._file.seek(0, os.SEEK_END)
        self._hash = _hashes.take(location, self.size)

    def write(self, piece: bytes | bytearray | memoryview) -> None:
        """Raises `DiskFull`."""
        require_free(self.location.parent, len(piece))
        self._file.write(piece)
        if self._hash is not None:
            self._hash.update(piece)
        before, self.size = self.size, self.size + len(piece)
        if before // EVERY != self.size // EVERY:
            self._file.flush()
            begin_writeback(self._file, before // EVERY * EVERY, self.size)

    def cut(self, size: int) -> None:
        """Forget what came after the first ``size`` bytes."""
        if size != self.size:
            self._file.flush()
            self._file.truncate(size)
            self._file.seek(size)
            self.size, self._hash = size, hashlib.sha256() if size == 0 else None

    def finish(self) -> str:
        """Make sure that all of it survives a power cut. The sha256 of it, 64 hexadecimal digits."""
        self._file.flush()
        if self._hash is None:
            self._hash = hashlib.sha256()
            self._file.seek(0)
            while piece := self._file.read(_PIECE):
                self._hash.update(piece)
        os.fsync(self._file.fileno())
        found: str = self._hash.hexdigest()
        return found

    def leave(self) -> None:
        """To be gone on with by a later request, unless it was discarded or taken over."""
        with contextlib.suppress(ValueError):
            self._file.flush()
            if self._hash is not None and os.fstat(self._file.fileno()).st_nlink:
                _hashes.keep(self.location, self.size, self._hash)
            self._file.close()

    def discard(self) -> None:
        """Harmless for what was taken over."""
        self.location.unlink(missing_ok=True)

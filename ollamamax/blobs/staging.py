"""Where this machine gathers bytes that come in, before a store takes them over: written, counted, hashed; or left, to be gone on with."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ollamamax.blobs.session import UploadSession
from ollamamax.blobs.writeback import EVERY, begin_writeback
from ollamamax.kernel.disk import require_free

_PIECE = 1 << 20
_INCOMING = "incoming-"
_PARTS = "parts"


class Staged(Protocol):
    """What a store may take over. ``location`` is for stores alone."""

    @property
    def location(self) -> Path:
        """On the disk of the staging area."""

    def discard(self) -> None:
        """Remove what was not taken over; harmless for what was."""


class Incoming:
    """Bytes that come in one piece."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=_INCOMING)
        self._file = os.fdopen(handle, "wb")
        self._hash: Any = hashlib.sha256()
        self.location = Path(name)
        self.size = 0

    def write(self, piece: bytes | bytearray) -> None:
        self._hash.update(piece)
        self._file.write(piece)
        before, self.size = self.size, self.size + len(piece)
        if before // EVERY != self.size // EVERY:
            self._file.flush()
            begin_writeback(self._file, before // EVERY * EVERY, self.size)

    def write_if_free(self, piece: bytes | bytearray) -> None:
        """For what comes without saying how long it is: leaves the disk's reserve free, too. Raises `DiskFull`."""
        require_free(self.location.parent, len(piece))
        self.write(piece)

    @property
    def sha256(self) -> str:
        """64 hexadecimal digits."""
        found: str = self._hash.hexdigest()
        return found

    def finish(self) -> None:
        """All was written: make sure that it survives a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        self.location.unlink(missing_ok=True)


class Part:
    """Bytes that come in several pieces, with breaks between, of the same process or another."""

    def __init__(self, location: Path) -> None:
        self.location = location

    def begun(self, most: int) -> tuple[int, Any]:
        """How many bytes are there, and their hash (as of `hashlib`); more than ``most`` are thrown away."""
        digest = hashlib.sha256()
        if not self.location.exists() or self.location.stat().st_size > most:
            self.location.write_bytes(b"")
        with self.location.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        return self.location.stat().st_size, digest

    @contextlib.contextmanager
    def opened(self, at: int) -> Iterator[BinaryIO]:
        """To be written from there on."""
        with self.location.open("r+b" if at else "wb") as file:
            file.seek(at)
            yield file

    def require_free(self, size: int) -> None:
        require_free(self.location.parent, size)

    def grown(self) -> tuple[int, int]:
        """A number that another file has when it was begun anew, and the bytes that are there; zeros before any are."""
        try:
            found = self.location.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_size

    def open(self) -> BinaryIO | None:
        """To be read while it grows; it can be read to its end though a store takes it over meanwhile. ``None`` before any of it is there."""
        try:
            return self.location.open("rb")
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def alone(self, check: Callable[[], None]) -> Iterator[None]:
        """Nobody else has it meanwhile, also no other process; ``check`` is called while it is waited for, and may raise.

        The lock goes with the process that holds it.
        """
        with contextlib.ExitStack() as stack:
            while not self.take(stack):
                check()
                time.sleep(0.1)
            yield

    def take(self, stack: contextlib.ExitStack) -> bool:
        """Have it alone until the stack is closed; ``False`` while another has it."""
        lock = self.location.with_suffix(".lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        stack.callback(lock.close)
        return True

    def discard(self) -> None:
        self.location.unlink(missing_ok=True)


class Staging:
    """One folder, on the disk of the store that takes over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def require_free(self, size: int) -> None:
        """Raises `DiskFull` when its disk has no room for so many bytes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        require_free(self._folder, size)

    def receive(self) -> Incoming:
        return Incoming(self._folder)

    def copy(self, file: Path) -> Incoming:
        """A copy of a file. It is hashed while it is written, so that what is stored is what was hashed. Raises `DiskFull`."""
        self.require_free(file.stat().st_size)
        incoming = self.receive()
        try:
            with file.open("rb") as source:
                while piece := source.read(_PIECE):
                    incoming.write(piece)
            incoming.finish()
        except BaseException:
            incoming.discard()
            raise
        return incoming

    def part(self, owner: str, name: str) -> Part:
        """What ``owner`` gathers under this name; both are letters and digits."""
        if not (owner.isalnum() and name.isalnum()):
            raise ValueError(f"not a name of a part: {owner!r}, {name!r}")
        folder = self._folder / _PARTS
        folder.mkdir(parents=True, exist_ok=True)
        return Part(folder / f"{owner}-{name}.part")

    def begin_upload(self, owner: str, name: str) -> None:
        """An upload in several requests, with nothing in it yet."""
        self.part(owner, name).location.touch(exist_ok=False)

    def upload(self, owner: str, name: str) -> UploadSession:
        """For one request, which leaves it. Raises `UnknownUpload`, `BusyUpload`."""
        return UploadSession(self.part(owner, name).location)

    def count_begun(self, owner: str) -> int:
        """How many parts and uploads of ``owner`` are not whole yet."""
        return sum(1 for _ in (self._folder / _PARTS).glob(f"{owner}-*.part"))

    def begun(self, owner: str, *, but: str) -> int:
        """Bytes of all parts of ``owner``, without the one named ``but``."""
        sizes = 0
        for file in (self._folder / _PARTS).glob(f"{owner}-*.part"):
            if file.name != f"{owner}-{but}.part":
                with contextlib.suppress(FileNotFoundError):  # it was taken over meanwhile
                    sizes += file.stat().st_size
        return sizes

    def forget_left(self, incoming_seconds: float, part_seconds: float) -> int:
        """Remove what those left behind who will not come back; how many files that were."""
        removed = 0
        # `*.part` in the folder itself is how releases before 0.2 named what came in.
        for pattern, seconds in (
            (f"{_INCOMING}*", incoming_seconds),
            ("*.part", incoming_seconds),
            (f"{_PARTS}/*", part_seconds),
        ):
            for file in self._folder.glob(pattern):
                try:
                    if time.time() - file.stat().st_mtime > seconds:
                        file.unlink()
                        removed += 1
                except FileNotFoundError:
                    continue  # it was taken over meanwhile
        return removed

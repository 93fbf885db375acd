"""Content-addressed files: ``<root>/sha256/<two digits>/<64 digits>``. What is there is whole and verified."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from ollamamax.kernel.disk import require_free

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CHUNK = 1 << 20
_INCOMING = "incoming-"


class Incoming:
    """Bytes on their way into a store: written, counted and hashed. Nobody sees them before `BlobStore.place`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=_INCOMING)
        self._file = os.fdopen(handle, "wb")
        self._hash: Any = hashlib.sha256()
        self.path = Path(name)
        self.size = 0

    def write(self, part: bytes) -> None:
        self._hash.update(part)
        self._file.write(part)
        self.size += len(part)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def finish(self) -> None:
        """All was written: make sure that it survives a power cut."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Remove what was not placed; harmless for what was."""
        self._file.close()
        self.path.unlink(missing_ok=True)


class BlobStore:
    """One folder of one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, digest: str) -> Path:
        """Where the blob lies or would lie. Raises `ValueError` for what is not a sha256 digest."""
        found = DIGEST.fullmatch(digest)
        if found is None:
            raise ValueError(f"not a sha256 digest: {digest!r}")
        return self.root / "sha256" / found[1][:2] / found[1]

    def require_free(self, size: int) -> None:
        """Raises `DiskFull` when its disk has no room for so many bytes."""
        self.root.mkdir(parents=True, exist_ok=True)
        require_free(self.root, size)

    def receive(self) -> Incoming:
        return Incoming(self.root)

    def stage(self, file: Path) -> Incoming:
        """A copy of a file on its way in. It is hashed while it is written, so that what is stored is what was hashed.

        Raises `DiskFull`.
        """
        self.require_free(file.stat().st_size)
        incoming = self.receive()
        try:
            with file.open("rb") as source:
                while part := source.read(_CHUNK):
                    incoming.write(part)
            incoming.finish()
        except BaseException:
            incoming.discard()
            raise
        return incoming

    def place(self, file: Path, digest: str) -> None:
        """Take over a whole file of this store's disk, whose digest was verified. Placing twice keeps the first."""
        path = self.path(digest)
        if path.exists():
            file.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        file.replace(path)

    def add(self, file: Path) -> tuple[str, int]:
        """Copy a file in; returns its digest and size in bytes. Adding twice keeps the first."""
        incoming = self.stage(file)
        try:
            self.place(incoming.path, incoming.digest)
        except BaseException:
            incoming.discard()
            raise
        return incoming.digest, incoming.size

    def remove(self, digest: str) -> None:
        self.path(digest).unlink(missing_ok=True)

    def part(self, owner: str, digest: str) -> Path:
        """Where a download of ``owner`` gathers the blob, to be gone on with later."""
        self.path(digest)
        folder = self.root / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{owner}-{digest.removeprefix('sha256:')}.part"

    def begun(self, owner: str, *, but: str) -> int:
        """Bytes that downloads of ``owner`` have gathered, without those of the blob ``but``."""
        sizes = 0
        for file in (self.root / "parts").glob(f"{owner}-*.part"):
            if file != self.part(owner, but):
                with contextlib.suppress(FileNotFoundError):  # it was placed meanwhile
                    sizes += file.stat().st_size
        return sizes

    def forget_left(self, incoming_seconds: float, part_seconds: float) -> int:
        """Remove what uploads and downloads that will not come back left behind; how many files that were."""
        removed = 0
        for pattern, seconds in ((f"{_INCOMING}*", incoming_seconds), ("parts/*", part_seconds)):
            for file in self.root.glob(pattern):
                try:
                    if time.time() - file.stat().st_mtime > seconds:
                        file.unlink()
                        removed += 1
                except FileNotFoundError:
                    continue  # it was placed meanwhile
        return removed

"""The bytes of files: ``<home>/files/<id>``. What has its name is whole and was flushed to the disk."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from ollamamax.kernel.disk import require_free

_PART = ".part"


class Incoming:
    """A file that is being written. Blocks: call it in a thread. `keep` gives it its name, `drop` forgets it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._part = path.with_name(path.name + _PART)
        self._file = self._part.open("wb")
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | bytearray) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def keep(self) -> str:
        """Flush it to the disk, give it its name; returns the SHA-256 of its bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._digest.hexdigest()

    def drop(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


class FileStore:
    """One folder; the web processes and the runners must see the same."""

    def __init__(self, home: Path) -> None:
        self._root = home / "files"

    def path(self, file: uuid.UUID) -> Path:
        return self._root / file.hex

    def incoming(self, file: uuid.UUID) -> Incoming:
        return Incoming(self.path(file))

    def require_free(self, size: int) -> None:
        """Raises `DiskFull` when its disk has no room for so many bytes."""
        self._root.mkdir(parents=True, exist_ok=True)
        require_free(self._root, size)

    def remove(self, file: uuid.UUID) -> None:
        self.path(file).unlink(missing_ok=True)

    def older_than(self, seconds: float) -> Iterator[tuple[Path, uuid.UUID | None]]:
        """What was last written so long ago, with its id; ``None`` for what an upload left unfinished."""
        if not self._root.is_dir():
            return
        before = time.time() - seconds
        for path in self._root.iterdir():
            try:
                if path.stat().st_mtime < before:
                    yield path, None if path.suffix == _PART else uuid.UUID(hex=path.name)
            except (FileNotFoundError, ValueError):
                continue  # just removed, or none of ours

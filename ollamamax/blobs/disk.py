"""A store in a folder: the file of a key has the key's name. What has it is whole and was flushed to the disk."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from ollamamax.blobs.staging import Staged, Staging
from ollamamax.blobs.store import Missing, Sources, checked

PIECE = 256 << 10


class DiskStore:
    """All processes that use it see the same folder. Others may remove a file that is being read: the reader goes on."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def stat(self, key: str) -> int | None:
        try:
            return self._file(key).stat().st_size
        except FileNotFoundError:
            return None

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Generator[bytes]:
        with self.local_file(key) as file:
            file.seek(start)
            left = float("inf") if stop is None else stop - start
            while left > 0 and (piece := file.read(int(min(PIECE, left)))):
                left -= len(piece)
                yield piece

    def local_file(self, key: str) -> BinaryIO:
        try:
            return self._file(key).open("rb")
        except FileNotFoundError:
            raise Missing(key) from None

    def put(self, staged: Staged, key: str) -> None:
        file = self._file(key)
        if file.exists():
            staged.discard()
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        staged.location.replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def delete(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)

    def keys(self, *, older_than: float) -> Iterator[str]:
        before = time.time() - older_than
        for file in self._root.rglob("*"):
            try:
                key = checked(file.relative_to(self._root).as_posix())
                if file.is_file() and file.stat().st_mtime < before:
                    yield key
            except (FileNotFoundError, ValueError):
                continue  # just removed, or what is still coming in

    def mark(self, key: str) -> str | None:
        try:
            found = self._file(key).stat()
        except FileNotFoundError:
            return None
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def claim(self) -> None:
        """One word lies in the folder and beside it: whoever finds only the second looks at another disk, and claims nothing."""
        if self._beside.exists():
            return
        self._root.mkdir(parents=True, exist_ok=True)
        if not self._inside.exists():
            self._write(self._inside, secrets.token_hex(16))
        self._write(self._beside, self._inside.read_text())

    def is_there(self) -> bool | None:
        try:
            known = self._beside.read_text()
        except FileNotFoundError:  # never claimed
            return any(True for _ in self.keys(older_than=-60.0)) or None
        return self._inside.exists() and self._inside.read_text() == known

    @property
    def _inside(self) -> Path:
        return self._root / ".store"

    @property
    def _beside(self) -> Path:
        return self._root.with_name(f"{self._root.name}.store")

    @staticmethod
    def _write(file: Path, word: str) -> None:
        new = file.with_name(f"{file.name}-{secrets.token_hex(4)}")
        new.write_text(word)
        new.replace(file)

    def _file(self, key: str) -> Path:
        return self._root / checked(key)


def in_folder(root: Path) -> Sources:
    """One folder, which also gathers what comes in."""
    return Sources(Staging(root), [DiskStore(root)])

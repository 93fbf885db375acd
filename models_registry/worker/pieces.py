"""A blob that comes in pieces, in any order: each is checked before it is written, and after a crash those that are there are found by their hashes.

Lies as ``sha256-<hex>.pieces`` beside whole blobs.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

from models_registry.worker.blobs import BlobFolder, hash_file, sync
from ollamamax.contract.peers import HASH_BYTES, BlobSource


class PieceFile:
    """``have`` are the numbers of the pieces that lie there, checked, and ``bytes_there`` the bytes of them; only the loop's thread changes either."""

    def __init__(self, folder: BlobFolder, digest: str, source: BlobSource) -> None:
        count = -(-source.size // source.piece)
        if source.piece < 1 or len(source.hashes) != count * HASH_BYTES:
            raise ValueError("the hashes are not those of so many pieces")
        self._folder, self._digest = folder, digest
        self.size, self.piece, self.count = source.size, source.piece, count
        self._hashes = source.hashes
        self.path = folder.path(digest).with_suffix(".pieces")
        self.have: set[int] = set()
        self.bytes_there = 0

    def length(self, number: int) -> int:
        return min(self.piece, self.size - number * self.piece)

    def is_right(self, number: int, data: bytes) -> bool:
        wanted = self._hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES]
        return len(data) == self.length(number) and hashlib.sha256(data).digest() == wanted

    async def open(self) -> None:
        """Find what a former process left."""
        for number in await asyncio.to_thread(self._find):
            self._add(number)

    def _find(self) -> list[int]:
        self.path.touch()
        found = []
        with self.path.open("rb") as file:
            there = file.seek(0, os.SEEK_END)
            for number in range(self.count):
                begin = number * self.piece
                if begin + self.length(number) > there:
                    break
                file.seek(begin)
                if self.is_right(number, file.read(self.length(number))):
                    found.append(number)
        return found

    def _add(self, number: int) -> None:
        if number not in self.have:
            self.have.add(number)
            self.bytes_there += self.length(number)

    async def put(self, number: int, data: bytes) -> bool:
        """Keep a piece, if it is the right one."""
        if not await asyncio.to_thread(self._write, number, data):
            return False
        self._add(number)
        return True

    def _write(self, number: int, data: bytes) -> bool:
        if not self.is_right(number, data):
            return False
        handle = os.open(self.path, os.O_WRONLY)
        try:
            os.pwrite(handle, data, number * self.piece)
        finally:
            os.close(handle)
        return True

    def get(self, number: int) -> bytes:
        """A piece that is there, from the blob where that is whole by now. Blocks."""
        return read_piece(
            self.path if self.path.exists() else self._folder.path(self._digest), number, self.piece, self.size
        )

    async def finish(self) -> bool:
        """Make it the blob; ``False``, and gone, where all pieces together are not what the digest says."""
        found = await asyncio.to_thread(hash_file, self.path)
        if "sha256:" + found.hexdigest() != self._digest:
            self.path.unlink(missing_ok=True)
            self.have.clear()
            self.bytes_there = 0
            return False
        await asyncio.to_thread(sync, self.path)
        self._folder.keep(self._digest, self.path)
        return True


def read_piece(path: Path, number: int, piece: int, size: int) -> bytes:
    """Blocks. Raises `OSError`."""
    with path.open("rb") as file:
        file.seek(number * piece)
        return file.read(min(piece, size - number * piece))

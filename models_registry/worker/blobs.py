"""Blobs on a node's disk: whole and verified, or a part that a download goes on from.

``sha256-<hex>`` is a whole blob, ``sha256-<hex>.part`` a part of one; ``sha256-<hex>.stamp`` holds the size and the
modification time of the file that was verified, so that a start need not read gigabytes again.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path
from typing import Any

import msgspec

from ollamamax.kernel.errors import InvalidRequest

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
CHUNK = 1 << 20


class Stamp(msgspec.Struct):
    size: int
    mtime_ns: int


class BlobFolder:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Where the blob lies, or will lie. Raises `InvalidRequest` for what is no digest."""
        if not DIGEST.fullmatch(digest):
            raise InvalidRequest(f"{digest[:100]!r} is not a sha256 digest.", param="digest")
        return self._folder / digest.replace(":", "-")

    def part(self, digest: str) -> Path:
        return self.path(digest).with_suffix(".part")

    def stamped(self, digest: str) -> bool:
        """Whether the file is the one that was verified, by size and modification time."""
        try:
            stamp = msgspec.json.decode(self._stamp(digest).read_bytes(), type=Stamp)
            return stamp == _stamp_of(self.path(digest))
        except (OSError, msgspec.DecodeError):
            return False

    def verified_for(self, digest: str) -> float:
        """Seconds since its bytes were last read. Raises `OSError`."""
        return time.time() - self._stamp(digest).stat().st_mtime

    def verify(self, digest: str, bytes_per_second: int | None = None) -> bool:
        """Read the whole file; stamp it when it is what its name says, remove it when it is not. Blocks."""
        path = self.path(digest)
        if not path.is_file():
            return False
        if "sha256:" + hash_file(path, bytes_per_second).hexdigest() != digest:
            self.remove(digest)
            return False
        self._write_stamp(digest)
        return True

    def keep(self, digest: str, part: Path | None = None) -> None:
        """Make the part, which was verified, the blob."""
        (part or self.part(digest)).replace(self.path(digest))
        self._write_stamp(digest)

    def remove(self, digest: str) -> None:
        pieces = self.path(digest).with_suffix(".pieces")
        for path in (self._stamp(digest), self.path(digest), self.part(digest), pieces):
            path.unlink(missing_ok=True)

    def _stamp(self, digest: str) -> Path:
        return self.path(digest).with_suffix(".stamp")

    def _write_stamp(self, digest: str) -> None:
        stamp = self._stamp(digest)
        temporary = stamp.with_suffix(".stamp-new")
        temporary.write_bytes(msgspec.json.encode(_stamp_of(self.path(digest))))
        temporary.replace(stamp)


def _stamp_of(path: Path) -> Stamp:
    found = path.stat()
    return Stamp(found.st_size, found.st_mtime_ns)


def hash_file(path: Path, bytes_per_second: int | None = None) -> Any:
    """The SHA-256 of a file so far, to be updated further; read no faster than that. Blocks."""
    found, size, began = hashlib.sha256(), 0, time.monotonic()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
            size += len(chunk)
            if bytes_per_second is not None:
                time.sleep(max(0.0, size / bytes_per_second - (time.monotonic() - began)))
    return found


def sync(path: Path) -> None:
    """Make sure that the file's bytes survive a power cut. Blocks."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""A backup's file: a tar whose first member says what it is and whose last one holds the SHA-256 of every other. Knows no Django.

`Writer` writes it, `Reader` reads it from its beginning to its end, once. What is cut, changed or foreign raises `ArchiveBroken`.
Nothing is ever unpacked by the names that an archive gives: readers ask for the members that they know.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any

FORMAT = "ollamamax-backup"
VERSION = 1
MANIFEST, SUMS = "manifest.json", "sums.json"
MOST_JSON = 64 << 20
PIECE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_SUM = re.compile(r"[0-9a-f]{64}")


class ArchiveBroken(Exception):
    """The file is no backup, not a whole one, or one of a later release. The text says which."""


class _Summed(io.RawIOBase):
    """A stream that is read, with the SHA-256 and the number of its bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest, self.size = hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


class Writer:
    """Writes to a stream that need not be seekable. `close` writes the sums; without it the archive is a broken one."""

    def __init__(self, out: IO[bytes], manifest: dict[str, Any]) -> None:
        self._tar = tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by `close`
        self._sums: dict[str, str] = {}
        self.add_json(MANIFEST, {"format": FORMAT, "version": VERSION, **manifest})

    def add(self, name: str, stream: IO[bytes], size: int) -> None:
        """Raises `ArchiveBroken` when the stream ends before ``size`` bytes."""
        if not _NAME.fullmatch(name) or name in self._sums:
            raise ValueError(f"not a name of a member, or there twice: {name!r}")
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        summed = _Summed(stream)
        try:
            self._tar.addfile(member, summed)
        except OSError as error:
            if summed.size < size:
                raise ArchiveBroken(f"{name} became shorter while it was read.") from error
            raise
        self._sums[name] = summed.digest.hexdigest()

    def add_json(self, name: str, value: Any) -> None:
        data = json.dumps(value, sort_keys=True).encode()
        self.add(name, io.BytesIO(data), len(data))

    def close(self) -> None:
        sums = json.dumps(self._sums, sort_keys=True).encode()
        member = tarfile.TarInfo(SUMS)
        member.size, member.mode = len(sums), 0o600
        self._tar.addfile(member, io.BytesIO(sums))
        self._tar.close()


class Reader:
    """Reads from a stream that need not be seekable."""

    def __init__(self, stream: IO[bytes]) -> None:
        with _as_broken():
            self._tar = tarfile.open(fileobj=stream, mode="r|")  # noqa: SIM115 - as long as the reader lives
            first = self._tar.next()
            if first is None or first.name != MANIFEST:
                raise ArchiveBroken("This is no backup of OllamaMax.")
            data = self._bytes(first)
            self._read = {MANIFEST: hashlib.sha256(data).hexdigest()}
            self.manifest = _object(data)
        if self.manifest.get("format") != FORMAT:
            raise ArchiveBroken("This is no backup of OllamaMax.")
        if self.manifest.get("version") != VERSION:
            raise ArchiveBroken(
                f"This backup has version {self.manifest.get('version')!r} of the format, and this release reads {VERSION}."
            )

    def members(self) -> Iterator[tuple[str, int, IO[bytes]]]:
        """Every member after the first: its name, its size, its bytes. At the end all sums were compared. Once only."""
        with _as_broken():
            sums: dict[str, Any] | None = None
            while (member := self._tar.next()) is not None:
                if (
                    sums is not None
                    or not _is_plain(member)
                    or not _NAME.fullmatch(member.name)
                    or member.name in self._read
                ):
                    raise ArchiveBroken(f"The backup has a member that none has: {member.name[:100]!r}.")
                if member.name == SUMS:
                    sums = _object(self._bytes(member))
                    continue
                stream = self._tar.extractfile(member)
                assert stream is not None  # noqa: S101 - it is a regular file
                summed = _Summed(stream)
                yield member.name, member.size, summed  # type: ignore[misc] # has what a reader of bytes needs
                while summed.read(PIECE):
                    pass
                if summed.size != member.size:
                    raise ArchiveBroken("The backup is cut.")
                self._read[member.name] = summed.digest.hexdigest()
            if sums is None:
                raise ArchiveBroken("The backup is cut: its end is missing.")
            if sums != self._read:
                wrong = sorted(name for name in {*sums, *self._read} if sums.get(name) != self._read.get(name))
                raise ArchiveBroken(f"The backup was changed or damaged: {wrong[0][:100]}.")

    def check(self) -> None:
        """Read to the end and compare all sums."""
        for _ in self.members():
            pass

    def _bytes(self, member: tarfile.TarInfo) -> bytes:
        if not _is_plain(member) or member.size > MOST_JSON:
            raise ArchiveBroken("This is no backup of OllamaMax.")
        stream = self._tar.extractfile(member)
        data = b"" if stream is None else stream.read()
        if len(data) != member.size:
            raise ArchiveBroken("The backup is cut.")
        return data


def _is_plain(member: tarfile.TarInfo) -> bool:
    """A file whose bytes are all there: a sparse one of a few bytes could be read for ever."""
    return member.isreg() and not member.issparse()


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ArchiveBroken("The backup is damaged: what should be JSON is none.") from error
    if not isinstance(found, dict):
        raise ArchiveBroken("The backup is damaged: what should be an object is none.")
    return found


@contextlib.contextmanager
def _as_broken() -> Iterator[None]:
    try:
        yield
    except (
        tarfile.TarError,
        EOFError,
        zlib.error,
        ValueError,
        OverflowError,
    ) as error:  # `tarfile` raises `ValueError` of odd sparse files
        raise ArchiveBroken(f"This is no whole backup of OllamaMax: {error}.") from error

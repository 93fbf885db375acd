"""What of an installation lies in files below its home: blobs, batches' files, the audit trail's notes, who it is. Knows no Django."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ollamamax.backup.archive import PIECE, ArchiveBroken
from ollamamax.blobs.disk import in_folder

STORES = ("blobs", "files")
_SINGLE = re.compile(r"bootstrap\.json|audit/(heads\.jsonl|key)|node-[0-9]{1,2}/identity\.json")
_STORED = re.compile(r"(blobs|files)/([0-9a-z]+(/[0-9a-z]+)*)")
_BLOB = re.compile(r"blobs/sha256/[0-9a-f]{2}/([0-9a-f]{64})")


@dataclass(frozen=True)
class Held:
    """``names``: each file's name below the home; ``folder`` holds them under these names, whatever is removed meanwhile."""

    folder: Path
    names: tuple[str, ...]


def single_files(home: Path) -> dict[str, bytes]:
    """The small files by their names below the home, to be read before the database: a note must not tell of records that the backup lacks."""
    found = {}
    for pattern in ("bootstrap.json", "audit/heads.jsonl", "audit/key", "node-*/identity.json"):
        for file in sorted(home.glob(pattern)):
            name = file.relative_to(home).as_posix()
            if _SINGLE.fullmatch(name):
                data = file.read_bytes()
                # A line that is being written is told of by the next backup.
                found[name] = data[: data.rfind(b"\n") + 1] if name.endswith(".jsonl") else data
    return found


@contextlib.contextmanager
def held(home: Path) -> Iterator[Held]:
    """Every stored blob and file, kept by a second link to each while the backup runs: what is stored never changes, but may be removed."""
    folder = Path(tempfile.mkdtemp(dir=home, prefix=".backup-"))
    try:
        names = []
        for store in STORES:
            for key in in_folder(home / store).keys(older_than=-3600):
                name = f"{store}/{key}"
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # removed at this moment
                    _link(home / name, folder / name)
                    names.append(name)
        yield Held(folder, tuple(sorted(names)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link(file: Path, to: Path) -> None:
    try:
        os.link(file, to)
    except FileNotFoundError:
        raise
    except OSError:  # a disk without hard links
        shutil.copyfile(file, to)


def is_ours(name: str) -> bool:
    """Whether a backup may hold a file of this name."""
    return bool(_SINGLE.fullmatch(name) or _STORED.fullmatch(name))


def put(home: Path, name: str, stream: IO[bytes]) -> None:
    """Write a file below the home, whole or not at all. What is stored under a key stays if it is there. Raises `ArchiveBroken`."""
    if not is_ours(name):
        raise ArchiveBroken(f"The backup has a file that no installation has: {name[:100]!r}.")
    file = home / name
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, half = tempfile.mkstemp(dir=file.parent, prefix=".restore-")
    try:
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as out:
            while piece := stream.read(PIECE):
                digest.update(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        blob = _BLOB.fullmatch(name)
        if blob is not None and blob[1] != digest.hexdigest():
            raise ArchiveBroken(f"A blob of the backup is not what its name says: {blob[1]}.")
        Path(half).replace(file)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise

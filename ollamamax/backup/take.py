"""Takes a backup while everything runs: one snapshot of the database, the files that it tells of, the keys and the settings."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from models_registry.blob_keys import blob_key
from ollamamax.backup import folders, sealing, tables
from ollamamax.backup.archive import Writer
from ollamamax.backup.contents import COUNTS, FILES, PARTITIONS, SEQUENCES, SETTINGS, TABLES
from ollamamax.blobs.store import Store

TRIES = 3


@dataclass(frozen=True)
class Source:
    """What is backed up: the database's address, the home, and the settings as they were given, secrets too."""

    database_url: str
    home: Path
    settings: Mapping[str, str]
    keys: Mapping[str, list[str]]
    """`fingerprints` of the keys that the installation runs with."""
    bucket: Store | None = None
    """Where blobs lie, if not in the home: they are not backed up, and are looked for there."""


@dataclass(frozen=True)
class Taken:
    """``taken_at`` is the moment of the snapshot: what was committed later is not in the backup."""

    file: Path
    taken_at: datetime.datetime
    rows: int
    files: int
    bytes: int
    missing: tuple[str, ...]
    """Digests that the database tells of and whose bytes the installation does not have."""
    in_bucket: int
    """How many of the blobs that the database tells of lie in the installation's bucket, and are not in the backup."""


@dataclass(frozen=True)
class _Files:
    single: Mapping[str, bytes]
    held: folders.Held
    lacking: tuple[str, ...]
    in_bucket: int


class BlobsRemoved(Exception):
    """Blobs were removed between the snapshot and the look at the files, again and again."""


def fingerprints(secret_key: str, box_keys: Sequence[bytes]) -> dict[str, list[str]]:
    """What tells keys apart without telling anything of them."""

    def mark(key: bytes) -> str:
        return hashlib.sha256(b"ollamamax backup\0" + key).hexdigest()[:32]

    return {"secret_key": [mark(secret_key.encode())], "box_keys": [mark(key) for key in box_keys]}


def take(source: Source, file: Path, recipients: Sequence[Any] = ()) -> Taken:
    """Write the backup into ``file``. Raises `BlobsRemoved`, `OSError`, `psycopg.Error`; then there is no file."""
    single = folders.single_files(source.home)
    for left in reversed(range(TRIES)):
        with psycopg.connect(source.database_url, connect_timeout=5) as connection:
            connection.read_only = True
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            tables.see_all(connection)
            taken_at = _now(connection)
            told = {name for (name,) in connection.execute("SELECT digest FROM models_registry_blob").fetchall()}
            with folders.held(source.home) as held:
                there = set() if source.bucket is None else set(source.bucket.keys(older_than=-3600))
                absent = sorted(told - {digest for digest in told if _file_of(digest) in held.names})
                lacking = [digest for digest in absent if blob_key(digest) not in there]
                if lacking and left and not _are_lost(source, lacking):
                    continue
                files = _Files(single, held, tuple(lacking), len(absent) - len(lacking))
                return _write(source, file, recipients, connection, taken_at, files)
    raise BlobsRemoved("Blobs were removed while the backup began, again and again: take it at another time.")


def _are_lost(source: Source, digests: Sequence[str]) -> bool:
    """Whether the database still tells of them, though nobody has their bytes."""
    with psycopg.connect(source.database_url, connect_timeout=5) as connection:
        tables.see_all(connection)
        found = connection.execute("SELECT digest FROM models_registry_blob WHERE digest = ANY(%s)", [list(digests)])
        return len(found.fetchall()) == len(digests)


def _write(
    source: Source,
    file: Path,
    recipients: Sequence[Any],
    connection: psycopg.Connection[Any],
    taken_at: datetime.datetime,
    files: _Files,
) -> Taken:
    found = tables.tables(connection)
    manifest = {
        "taken_at": taken_at.isoformat(),
        "release": version("ollamamax"),
        "migrations": tables.migrations(connection),
        "tables": {table.name: list(table.columns) for table in found.values()},
        "keys": dict(source.keys),
        "encrypted": bool(recipients),
        "blobs_in_bucket": files.in_bucket,
    }
    with sealing.written(file, recipients) as out:
        writer = Writer(out, manifest)
        writer.add_json(SETTINGS, dict(source.settings))
        writer.add_json(PARTITIONS, tables.partitions(connection))
        counts = {}
        for table in found.values():
            with tempfile.TemporaryFile(dir=file.parent) as rows:
                with gzip.GzipFile(fileobj=rows, mode="wb", compresslevel=1, mtime=0) as packed:
                    counts[table.name] = tables.copy_out(connection, table, packed)
                size = rows.tell()
                rows.seek(0)
                writer.add(f"{TABLES}{table.name}.copy.gz", rows, size)
        writer.add_json(SEQUENCES, tables.sequences(connection))
        writer.add_json(COUNTS, counts)
        for name, data in files.single.items():
            writer.add(FILES + name, io.BytesIO(data), len(data))
        for name in files.held.names:
            with (files.held.folder / name).open("rb") as stream:
                writer.add(FILES + name, stream, (files.held.folder / name).stat().st_size)
        writer.close()
    size = file.stat().st_size
    count = len(files.single) + len(files.held.names)
    return Taken(file, taken_at, sum(counts.values()), count, size, files.lacking, files.in_bucket)


def _now(connection: psycopg.Connection[Any]) -> datetime.datetime:
    """The database's time, which the snapshot has."""
    found = connection.execute("SELECT now()").fetchone()
    assert found is not None  # noqa: S101 - it has one row
    at: datetime.datetime = found[0]
    return at.astimezone(datetime.UTC)


def _file_of(digest: str) -> str:
    return f"blobs/{blob_key(digest)}"

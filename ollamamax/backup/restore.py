"""Puts a backup into an installation without data: all of it or, when anything is wrong with it, nothing.

The archive is read to its end before anything is changed; the database is filled in one transaction, which ends after the
last file was written. Tables are made by this release's migrations, up to where the backup's were, and then brought up to date as
in any upgrade.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from django.core.management import call_command
from django.db import Error, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from ollamamax.backup import folders, sealing, tables
from ollamamax.backup.archive import ArchiveBroken, Reader
from ollamamax.backup.contents import COUNTS, FILES, PARTITIONS, SEQUENCES, SETTINGS, TABLES, read_json, shaped
from ollamamax.identity.scope import every_tenant


class RestoreRefused(Exception):
    """The backup is whole, and this installation may not take it. The text says why, and what to do."""


@dataclass(frozen=True)
class Restored:
    taken_at: str
    release: str
    rows: int
    files: int


def restore(
    file: Path, home: Path, keys: Mapping[str, list[str]], identities: Sequence[Any] = (), *, replace: bool = False
) -> Restored:
    """As the tables' owner. ``replace``: what the database holds is deleted, in the same transaction.

    Raises `ArchiveBroken`, `KeyUnusable` and `RestoreRefused`; then nothing was changed but that blobs of the backup may lie
    in the home, where nothing tells of them.
    """
    with sealing.opened(file, identities) as stream:
        reader = Reader(stream)
        refuse_foreign(reader.manifest, keys)
        reader.check()
    try:
        with every_tenant(), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")  # connects
            raw = connection.connection
            tables.see_all(raw)
            if not tables.is_empty(raw):
                _empty(raw, replace=replace)
            with sealing.opened(file, identities) as stream:
                reader = Reader(stream)
                executor = MigrationExecutor(connection)
                executor.migrate(_last_of_each(executor, _pairs(reader.manifest)))
                done = fill(reader, home, raw)
            call_command("migrate", interactive=False, verbosity=0)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise ArchiveBroken(f"The backup's rows do not fit together: {type(error).__name__}.") from error
    except Error as error:
        if isinstance(error.__cause__, psycopg.DataError | psycopg.IntegrityError):
            raise ArchiveBroken(f"The backup's rows do not fit together: {type(error).__name__}.") from error
        raise
    return done


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Around the transaction of a restore: this process has one session and no pool, whose other ones would be taken for somebody else's."""
    held: Any = connection
    held.close()
    held.close_pool()
    options = held.settings_dict.get("OPTIONS", {})
    pool = options.pop("pool", None)
    try:
        yield
    finally:
        if pool is not None:
            held.close()
            options["pool"] = pool


def refuse_foreign(manifest: Mapping[str, Any], keys: Mapping[str, list[str]]) -> None:
    """Raises `RestoreRefused` for the backup of a later release, or of an installation with other keys. Looks at migrations' files only."""
    known = set(MigrationExecutor(None).loader.disk_migrations)
    unknown = [each for each in _pairs(manifest) if each not in known]
    if unknown:
        app, name = unknown[0]
        raise RestoreRefused(
            f"The backup is of release {manifest.get('release')}, which knows {app}.{name}; this one does not. Restore it with that release or a later one."
        )
    held = manifest.get("keys")
    if not isinstance(held, dict):
        raise ArchiveBroken("The backup does not say which keys it needs.")
    lacking = [each for each in held.get("box_keys", []) if each not in keys["box_keys"]]
    if lacking or held.get("secret_key") != keys["secret_key"]:
        raise RestoreRefused(
            "The backup is of an installation with other keys: what it keeps encrypted could not be read. Set OLLAMAMAX_SECRET_KEY and "
            "OLLAMAMAX_SECRET_BOX_KEYS to that installation's (`ollamamax restore --settings-to FILE ARCHIVE` writes them down)."
        )


def _empty(raw: psycopg.Connection[Any], *, replace: bool) -> None:
    if not replace:
        raise RestoreRefused(
            "The database is not empty: name an empty one in DATABASE_URL, or say --replace to delete all that it holds."
        )
    if (others := tables.others_connected(raw)) > 0:
        raise RestoreRefused(
            f"{others} other sessions use the database: stop web, controller and batches (and everything else) first."
        )
    tables.drop_everything(raw)


def fill(reader: Reader, home: Path, raw: psycopg.Connection[Any]) -> Restored:
    """Put rows in the place of all that the tables hold, and files into the home. Within a transaction."""
    columns = shaped(reader.manifest.get("tables"), dict[str, list[str]])
    counts: dict[str, int] = {}
    files = 0
    with tables.unguarded(raw) as known:
        if set(columns) != set(known):
            raise ArchiveBroken("The backup's tables are not those that its migrations make.")
        for name, _, stream in reader.members():
            if name.startswith(TABLES):
                table = known.get(name.removeprefix(TABLES).removesuffix(".copy.gz"))
                if table is None:
                    raise ArchiveBroken(f"The backup has a table that no release has: {name[:100]!r}.")
                counts[table.name] = _read_table(raw, table, columns[table.name], stream)
            elif name == PARTITIONS:
                tables.make_partitions(raw, shaped(read_json(stream), list[list[str]]))
            elif name == SEQUENCES:
                tables.set_sequences(raw, shaped(read_json(stream), dict[str, int]))
            elif name == COUNTS:
                if read_json(stream) != counts:
                    raise ArchiveBroken("The backup lacks rows.")
            elif name.startswith(FILES):
                folders.put(home, name.removeprefix(FILES), stream)
                files += 1
            elif name != SETTINGS:
                raise ArchiveBroken(f"The backup has a member that none has: {name[:100]!r}.")
        if set(counts) != set(known):
            raise ArchiveBroken("The backup lacks tables.")
    return Restored(
        str(reader.manifest.get("taken_at")), str(reader.manifest.get("release")), sum(counts.values()), files
    )


def _read_table(
    raw: psycopg.Connection[Any], table: tables.WholeTable, columns: Sequence[str], stream: IO[bytes]
) -> int:
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as rows:
            return tables.copy_in(raw, table, columns, rows)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ArchiveBroken(f"The backup's rows of {table.name} are damaged.") from error


def _pairs(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = manifest.get("migrations")
    try:
        return [(str(app), str(name)) for app, name in found]  # type: ignore[union-attr]
    except (TypeError, ValueError) as error:
        raise ArchiveBroken("The backup does not say which migrations it has.") from error


def _last_of_each(executor: MigrationExecutor, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of each application the migrations that no other of these follows in it."""
    there = set(pairs)
    graph = executor.loader.graph
    return [
        pair for pair in pairs if not any(c.key in there and c.key[0] == pair[0] for c in graph.node_map[pair].children)
    ]

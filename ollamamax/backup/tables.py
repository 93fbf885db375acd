"""The database's rows out of it and into it again, by COPY: the tables themselves are made by migrations, not by an archive.

So a backup taken from one release of PostgreSQL goes into any other, no program of PostgreSQL's is needed, and what an archive says is
never run. Every function takes a connection on which every tenant's rows show (`see_all`).
"""

from __future__ import annotations

import contextlib
import gzip
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from psycopg import Connection, sql

from ollamamax.backup.archive import PIECE, ArchiveBroken

MIGRATIONS = "django_migrations"
AUDIT = "audit_auditrecord"
"""Whose partitions have a guard of their own, besides those that come from the whole table."""
_BOUND = re.compile(r"FOR VALUES FROM \('([0-9a-f: +-]{10,40})'\) TO \('([0-9a-f: +-]{10,40})'\)")
_PART = re.compile(r"[a-z_]+_[0-9]{8}")

_TABLES = """
SELECT class.relname, array_agg(attribute.attname::text ORDER BY attribute.attnum),
       class.relforcerowsecurity
FROM pg_class AS class JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE class.relnamespace = current_schema()::regnamespace AND class.relkind IN ('r', 'p') AND NOT class.relispartition
  AND attribute.attnum > 0 AND NOT attribute.attisdropped AND attribute.attgenerated = ''
GROUP BY class.oid, class.relname, class.relforcerowsecurity ORDER BY class.relname
"""
_PARTITIONS = """
SELECT parent.relname, part.relname, pg_get_expr(part.relpartbound, part.oid)
FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid JOIN pg_class AS parent ON parent.oid = inhparent
WHERE part.relnamespace = current_schema()::regnamespace AND part.relispartition AND part.relkind = 'r' ORDER BY part.relname
"""
_GUARDED = """
SELECT part.relname FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid
WHERE inhparent = to_regclass(%s) AND part.relispartition
"""
_DROP_EVERYTHING = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT oid::regclass FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
    LOOP EXECUTE format('DROP TABLE %s CASCADE', name); END LOOP;
    FOR name IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
          AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
    LOOP EXECUTE format('DROP ROUTINE %s CASCADE', name); END LOOP;
END $$
"""


@dataclass(frozen=True)
class WholeTable:
    """``forced``: row-level security holds for the table's owner, too."""

    name: str
    columns: tuple[str, ...]
    forced: bool


def see_all(connection: Connection[Any]) -> None:
    connection.execute("SELECT set_config('omx.tenant', '*', false)")


def tables(connection: Connection[Any]) -> dict[str, WholeTable]:
    """All but that of migrations, without partitions: their rows are the whole table's."""
    found = connection.execute(_TABLES).fetchall()
    return {name: WholeTable(name, tuple(columns), forced) for name, columns, forced in found if name != MIGRATIONS}


def is_empty(connection: Connection[Any]) -> bool:
    """Whether there is no table at all."""
    return not connection.execute(_TABLES).fetchall()


LEAVING_SECONDS = 5.0
"""So long a session that was closed may take until the server has ended it."""


def others_connected(connection: Connection[Any]) -> int:
    """How many other sessions this database has, of programs. What was closed a moment ago is given time to end."""
    until = time.monotonic() + LEAVING_SECONDS
    while (others := _others_connected(connection)) and time.monotonic() < until:
        time.sleep(0.05)
        # In a transaction the server shows the sessions as they were when they were first looked at.
        connection.execute("SELECT pg_stat_clear_snapshot()")
    return others


def _others_connected(connection: Connection[Any]) -> int:
    found = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    ).fetchone()
    return int(found[0]) if found else 0


def migrations(connection: Connection[Any]) -> list[list[str]]:
    return [list(row) for row in connection.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()]


def partitions(connection: Connection[Any]) -> list[list[str]]:
    """Those of a range: their table, their name, the first id or time in them and the first beyond."""
    found = []
    for parent, part, bound in connection.execute(_PARTITIONS).fetchall():
        ids = _BOUND.fullmatch(bound)
        if ids is not None:
            found.append([parent, part, ids[1], ids[2]])
    return found


def sequences(connection: Connection[Any]) -> dict[str, int]:
    """The last number that each sequence gave, where it gave any."""
    found = connection.execute(
        "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL"
    )
    return dict(found.fetchall())


def copy_out(connection: Connection[Any], table: WholeTable, out: IO[bytes] | gzip.GzipFile) -> int:
    """Write every row in COPY's text format; returns how many there were."""
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(_list(table.columns), sql.Identifier(table.name))
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for piece in copy:
                out.write(piece)
        return cursor.rowcount


def copy_in(
    connection: Connection[Any], table: WholeTable, columns: Sequence[str], stream: IO[bytes] | gzip.GzipFile
) -> int:
    """Read what `copy_out` wrote into an empty table; returns how many rows there were."""
    if not set(columns) <= set(table.columns):
        raise ArchiveBroken(f"The backup has columns of {table.name} that this release's migrations do not make.")
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), _list(columns))
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy:
            while piece := stream.read(PIECE):
                copy.write(piece)
        return cursor.rowcount


def drop_everything(connection: Connection[Any]) -> None:
    connection.execute(_DROP_EVERYTHING)


def make_partitions(connection: Connection[Any], wanted: Sequence[Sequence[str]]) -> None:
    """As `metering_make_partition` does, for any time. Raises `ArchiveBroken`."""
    there = {part for _, part, _, _ in partitions(connection)}
    known = tables(connection)
    if any(len(each) != 4 for each in wanted):
        raise ArchiveBroken("The backup names partitions that no release makes.")
    for parent, part, first, beyond in wanted:
        if parent not in known or not _PART.fullmatch(part) or not part.startswith(parent):
            raise ArchiveBroken("The backup names partitions that no release makes.")
        if part in there:
            continue
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(
                sql.Identifier(part), sql.Identifier(parent)
            )
        )
        connection.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                sql.Identifier(parent), sql.Identifier(part), sql.Literal(first), sql.Literal(beyond)
            )
        )
        if parent == AUDIT:
            connection.execute("SELECT audit_guard_partition(%s)", [part])


def set_sequences(connection: Connection[Any], wanted: Mapping[str, int]) -> None:
    there = connection.execute("SELECT sequencename FROM pg_sequences WHERE schemaname = current_schema()").fetchall()
    for (name,) in there:
        if name in wanted:
            quoted = sql.Identifier(name).as_string(connection)
            connection.execute("SELECT setval(%s, %s)", [quoted, int(wanted[name])])


@contextlib.contextmanager
def unguarded(connection: Connection[Any]) -> Iterator[dict[str, WholeTable]]:
    """Empty every table, give them to be filled, and guard them again; within one transaction.

    Meanwhile triggers that number or refuse rows do not fire, the owner is not held by row-level security (under which
    there is no COPY into a table), and keys to other tables are compared at the end.
    """
    found = tables(connection)
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or a table could not be altered
    parts = [sql.Identifier(part) for (part,) in connection.execute(_GUARDED, [AUDIT]).fetchall()]
    for part in parts:
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(part))
    for table in found.values():
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table.name)))
        if table.forced:
            connection.execute(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(sql.Identifier(table.name)))
    connection.execute(sql.SQL("TRUNCATE {}").format(_list(found)))
    connection.execute("SET CONSTRAINTS ALL DEFERRED")
    yield found
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for part in parts:
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(part))
    for table in found.values():
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(sql.Identifier(table.name)))
        if table.forced:
            connection.execute(sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(sql.Identifier(table.name)))


def _list(names: Any) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))

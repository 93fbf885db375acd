"""A stretch of a chain, checked by itself: several of one chain are checked at the same time, by one process on each core.

A worker process knows no Django: it opens a connection of its own, and sees the snapshot of the database that whoever asked sees.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg import sql

from ollamamax.audit import chain

LENGTH = 20_000
"""Records of a stretch."""
MOST_PROBLEMS = 1_000
"""Problems of one stretch that are told."""
COLUMNS = (*chain.FIELDS, "hash")
_TEXTS = frozenset({"detail", "personal"})
# JSON as text, since a connection of Django's gives jsonb as text and psycopg's own does not.
_SELECT = sql.SQL("SELECT {} FROM audit_auditrecord WHERE chain = %(chain)s{} ORDER BY seq, id")
_BEFORE = "SELECT hash FROM audit_auditrecord WHERE chain = %(chain)s AND seq = %(before)s ORDER BY id DESC LIMIT 1"
_FROM, _TO = sql.SQL(" AND seq >= %(begin)s"), sql.SQL(" AND seq <= %(end)s")


class Head(NamedTuple):
    """The end of a chain as it is, or as it was noted outside the database."""

    seq: int
    hash: str


class ChainProblem(NamedTuple):
    chain: str
    seq: int
    what: str

    def __str__(self) -> str:
        return f"chain {self.chain}, record {self.seq}: {self.what}"


class Stretch(NamedTuple):
    """Records ``begin`` to ``end``. ``origin`` is what the first stretch of a chain follows, and ``None`` for any other; the last has no bound
    above. ``noted`` are heads that were noted elsewhere as the chain grew; those of other stretches may be among them."""

    chain: str
    begin: int
    end: int
    origin: Head | None
    is_last: bool
    noted: tuple[Head, ...] = ()


class CheckedStretch(NamedTuple):
    """``end`` is the last record that was found, or what the stretch follows where there was none."""

    stretch: Stretch
    records: int
    end: Head
    problems: list[ChainProblem]


class Cursor(Protocol):
    def execute(self, query: Any, params: Any = None) -> Any: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


def stretches(name: str, origin: Head, last: int, noted: Collection[Head] = (), length: int = LENGTH) -> list[Stretch]:
    """All records of a chain from behind ``origin`` on, of which ``last`` is the highest number, in stretches of ``length``; one at least. Pure."""
    begins = range(origin.seq + 1, max(last, origin.seq + 1) + 1, length)
    within: dict[int, list[Head]] = {}
    for head in noted:
        within.setdefault((head.seq - origin.seq - 1) // length, []).append(head)
    return [
        Stretch(
            *(name, begin, begin + length - 1, origin if begin == begins[0] else None, begin == begins[-1]),
            tuple(within.get(place, ())),
        )
        for place, begin in enumerate(begins)
    ]


def check(cursor: Cursor, stretch: Stretch) -> CheckedStretch:
    """Compute every hash of the stretch anew, and how each record follows the one before it. Queries: 1, or 2 for all but a chain's first."""
    previous: str | None
    if stretch.origin is not None:
        previous = stretch.origin.hash
    else:
        cursor.execute(_BEFORE, {"chain": stretch.chain, "before": stretch.begin - 1})
        row = cursor.fetchone()
        previous = None if row is None else row[0]  # that it is missing is told by the stretch before
    problems: list[ChainProblem] = []
    noted: dict[int, set[str]] = {}
    for head in stretch.noted:
        noted.setdefault(head.seq, set()).add(head.hash)
    expected, count = stretch.begin, 0
    for row in _rows(cursor, stretch):
        count += 1
        problems += _problems(row, stretch, expected, previous, noted.get(row["seq"]))
        if len(problems) > MOST_PROBLEMS:
            del problems[MOST_PROBLEMS:]
        expected, previous = row["seq"] + 1, row["hash"]
    if not stretch.is_last and expected <= stretch.end:
        problems.append(ChainProblem(stretch.chain, expected, f"missing, and every one up to {stretch.end}"))
    return CheckedStretch(stretch, count, Head(expected - 1, previous or ""), problems)


def _problems(
    row: Mapping[str, Any], stretch: Stretch, expected: int, previous: str | None, noted: Set[str] | None
) -> Iterator[ChainProblem]:
    name, seq = stretch.chain, row["seq"]
    if seq > expected:
        yield ChainProblem(name, expected, f"missing, and every one up to {seq - 1}")
    elif seq < expected:
        yield ChainProblem(name, seq, "inserted: its number was taken already")
    if seq == expected and previous is not None and row["prev_hash"] != previous:
        yield ChainProblem(name, seq, "does not follow the record before it: moved, inserted or altered")
    if chain.digest_of_row(row) != row["hash"]:
        yield ChainProblem(name, seq, "altered: its content does not have its hash")
    if noted is not None and noted != {row["hash"]}:
        yield ChainProblem(name, seq, "is not the record that was noted outside the database")


def _rows(cursor: Cursor, stretch: Stretch) -> Iterator[dict[str, Any]]:
    for values in fetch(cursor, stretch):
        row = dict(zip(COLUMNS, values, strict=True))
        row["detail"], row["personal"] = json.loads(row["detail"]), json.loads(row["personal"])
        yield row


def fetch(cursor: Cursor, stretch: Stretch) -> list[Any]:
    """`COLUMNS` of its records in their order, JSON as text. Queries: 1."""
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text" if name in _TEXTS else "{}").format(sql.Identifier(name)) for name in COLUMNS
    )
    bounds = sql.Composed(([] if stretch.origin is not None else [_FROM]) + ([] if stretch.is_last else [_TO]))
    asked = {"chain": stretch.chain, "begin": stretch.begin, "end": stretch.end}
    cursor.execute(_SELECT.format(columns, bounds), asked)
    return cursor.fetchall()


def check_all(
    wanted: Sequence[Stretch], connecting: Mapping[str, Any], snapshot: str, processes: int
) -> Iterator[CheckedStretch]:
    """As `check`, each stretch in one of so many processes, in the order of ``wanted``. ``connecting`` is how to connect; ``snapshot`` is
    what a transaction that is still open exported."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, open_snapshot, (dict(connecting), snapshot)) as pool:
        yield from pool.map(_check_there, wanted)


_connections: list[psycopg.Connection[Any]] = []


def open_snapshot(connecting: dict[str, Any], snapshot: str) -> None:
    """In a process of its own: see what the transaction sees that exported the snapshot, until the process ends."""
    found = psycopg.connect(**connecting, autocommit=True)
    found.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    found.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
    _connections[:] = [found]


def cursor_there() -> psycopg.Cursor[Any]:
    """Of what `open_snapshot` opened."""
    return _connections[0].cursor()


def _check_there(stretch: Stretch) -> CheckedStretch:
    with cursor_there() as cursor:
        return check(cursor, stretch)

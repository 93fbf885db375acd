"""A connection to the one of several PostgreSQL servers that may be written, and that no later one has replaced.

libpq takes the first host that may be written. One that was replaced, and came back as if it were not, may be written too: a server that
was promoted has a higher timeline (https://www.postgresql.org/docs/current/continuous-archiving.html), and a process that has seen a
timeline takes no lower one.
"""

from __future__ import annotations

import threading
from typing import Any, Self

import psycopg

from ollamamax import logs

_log = logs.get(__name__)
_lock = threading.Lock()
_known: dict[tuple[str, str], tuple[int, tuple[str, str]]] = {}
"""Hosts and ports -> the highest timeline, and where it was."""


class WritableConnection(psycopg.Connection[Any]):
    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """``host`` and ``port`` are lists, separated by commas. Raises `psycopg.OperationalError`."""
        named = (str(options.pop("host", "")), str(options.pop("port", "") or ""))
        hosts, ports = named[0].split(","), named[1].split(",")
        if len(ports) == 1:
            ports *= len(hosts)
        places = list(zip(hosts, ports, strict=True))
        highest, last = _known.get(named, (0, None))
        best: tuple[int, tuple[str, str], Self] | None = None
        errors = []
        for place in sorted(places, key=lambda each: each != last):
            try:
                made = super().connect(conninfo, host=place[0], port=place[1], **options)
                timeline = _timeline(made)
            except psycopg.OperationalError as error:
                errors.append(str(error))
                continue
            if timeline < max(highest, best[0] if best else 0):
                _log.error("replaced_postgres_refused", host=place[0], port=place[1], timeline=timeline)
                errors.append(f"{place[0]}:{place[1]} may be written, but was replaced by a later one.")
                made.close()
                continue
            if best is not None:
                best[2].close()
            best = (timeline, place, made)
            if highest:
                break
        if best is None:
            raise psycopg.OperationalError("\n".join(errors))
        with _lock:
            if best[0] >= _known.get(named, (0, None))[0]:
                _known[named] = best[:2]
        return best[2]


def _timeline(connection: psycopg.Connection[Any]) -> int:
    """Of a server that may be written: the first eight digits of the name of the file that it writes its log to."""
    was = connection.autocommit
    connection.autocommit = True
    row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
    connection.autocommit = was
    return int(str(row[0])[:8], 16) if row else 0

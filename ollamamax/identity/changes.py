"""Changes of one thing, one at a time: who changes it under a condition must not find it changed in between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, connection


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Holds an advisory lock of this connection over the transactions within. Queries: 2."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
    try:
        yield
    finally:
        # Where the connection broke, the server lets the lock go by itself.
        with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])

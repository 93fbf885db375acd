"""The transaction of a runner: ended by Postgres when the runner stands still in the middle of it.

Its locks would keep every other runner from the batch for as long as the process is frozen, and its connection open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

SECONDS = 5


@contextmanager
def bounded() -> Iterator[None]:
    """``atomic(durable=True)``, in which no pause between two statements may be longer than `SECONDS`."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", [f"{SECONDS}s"])
        yield

"""Postgres from an event loop: in threads of its own, so that a slow database holds up nothing else. Needs Django."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, InternalError, OperationalError, connections
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction

from ollamamax import logs
from ollamamax.kernel.errors import Unavailable

PAUSE = 1.0
"""Seconds before another try of what waits for Postgres."""
P = ParamSpec("P")
T = TypeVar("T")
_PASSES = (IdleInTransactionSessionTimeout, ReadOnlySqlTransaction)
"""Internal errors of a server that is away for a while: this one was cut off, or is a standby still, amid a fail-over."""
_THREADS = ThreadPoolExecutor(16, thread_name_prefix="database")
_log = logs.get(__name__)


async def in_database(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an action or a query, and give its connection back. Raises `Unavailable` when Postgres does not answer."""
    try:
        return await _in_thread(functools.partial(call, *args, **kwargs))
    except (OperationalError, InterfaceError) as error:
        raise Unavailable("The database does not answer. Try again soon.", retry_after=5) from error


async def in_database_at_last(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same, tried again for as long as Postgres is away: for what may be repeated, because whether a broken one was done is not known."""
    while True:
        try:
            return await _in_thread(functools.partial(call, *args, **kwargs))
        except (OperationalError, InterfaceError, InternalError) as error:
            if isinstance(error, InternalError) and not isinstance(error.__cause__, _PASSES):
                raise
            _log.warning("waits_for_postgres", error=type(error).__name__)
            await asyncio.sleep(PAUSE)


async def _in_thread(work: Callable[[], T]) -> T:
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, context.run, _with_connection, work)


def _with_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        with contextlib.suppress(DatabaseError):  # it was broken before
            connections.close_all()

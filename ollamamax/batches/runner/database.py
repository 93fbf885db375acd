"""Postgres from the runner: in threads, and tried again for as long as it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.db import InterfaceError, InternalError, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout

from ollamamax import logs

PAUSE = 1.0
P = ParamSpec("P")
T = TypeVar("T")
_log = logs.get(__name__)


async def in_database(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a query or a write; one that may be repeated, because whether a broken one was done is not known."""
    while True:
        try:
            found: T = await database_sync_to_async(call, thread_sensitive=False)(*args, **kwargs)
        except (OperationalError, InterfaceError, InternalError) as error:
            if isinstance(error, InternalError) and not isinstance(error.__cause__, IdleInTransactionSessionTimeout):
                raise
            _log.warning("batches_wait_for_postgres", error=type(error).__name__)
            await asyncio.sleep(PAUSE)
        else:
            return found

"""The database from an event loop: in threads of its own, so that a slow database holds up nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from ollamamax.kernel.errors import Unavailable

T = TypeVar("T")
_THREADS = ThreadPoolExecutor(8, thread_name_prefix="registry")


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work``, and give its connection back. Raises `Unavailable` when the database does not answer."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _with_connection, work)


def _with_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    except (OperationalError, InterfaceError) as error:
        raise Unavailable("The database does not answer. Try again soon.", retry_after=5) from error
    finally:
        with contextlib.suppress(DatabaseError):  # it was broken before
            connections.close_all()

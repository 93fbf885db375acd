"""Postgres from the gateway's event loop: in threads, and an answer when it is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from channels.db import database_sync_to_async
from django.db import InterfaceError, OperationalError

from ollamamax.kernel.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


async def in_database(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an action or a query. Raises `Unavailable` when Postgres does not answer."""
    try:
        # In any thread: one for all would make every caller wait for the slowest.
        found: T = await database_sync_to_async(call, thread_sensitive=False)(*args, **kwargs)
    except (OperationalError, InterfaceError) as error:
        raise Unavailable("The database does not answer. Try again soon.", retry_after=5) from error
    return found

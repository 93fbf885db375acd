"""Work that goes on when a client's request is over: it runs to its end, and its failures are logged."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ollamamax import logs
from ollamamax.kernel.tasks import end

_log = logs.get(__name__)


class LateWork:
    """Of one process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ran)

    async def wait(self, seconds: float) -> None:
        """Until all of it is done, for so long at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def end(self) -> None:
        await end(self._tasks)

    def _ran(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("work_after_a_request_failed", error=repr(error), exc_info=error)

"""Asynchronous work inside a job's thread: ended within moments when the job is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from models_registry.jobs.work import Work

T = TypeVar("T")
LOOK_SECONDS = 0.2


def run_until_stopped(coroutine: Coroutine[Any, Any, T], work: Work) -> T:
    """The result. Raises `Stopped`, and what the coroutine raises. No database in it: this thread has a loop then."""

    async def watched() -> T:
        task = asyncio.ensure_future(coroutine)
        while not task.done():
            await asyncio.wait([task], timeout=LOOK_SECONDS)
            if work.stopping.is_set():
                task.cancel()
                await asyncio.wait([task], timeout=5)
                work.check()
        return task.result()

    return asyncio.run(watched())

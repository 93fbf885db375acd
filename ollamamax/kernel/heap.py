"""The heap of a process that serves many requests."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

NEW_OBJECTS = 10_000
"""After so many new objects Python looks for cycles. At its own 700 it would look twice a request, which leaves hardly any."""

LOOK_SECONDS = 10.0
GROWN_BYTES = 64 << 20
"""What a process may have beyond what it had when it was last tidied."""


def keep() -> None:
    """Call it when all is loaded: no full collection, at which all streams stand still, looks at that again."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)


async def stay_tidy() -> None:
    """For ever: after a crowd of large requests, give back what they left, which would otherwise stay for hours.

    An error holds the body that it is about in a cycle with its traceback, and Python looks for old cycles seldom; and the
    C library keeps freed memory for itself. What is looked at is what came after `keep`, so that it takes milliseconds.
    """
    lowest = resident()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = resident()
        lowest = min(lowest, now)
        if now > lowest + GROWN_BYTES:
            lowest = await tidied()


async def tidied() -> int:
    """Collect what is garbage, and give free memory back to the system; the resident bytes that are left."""
    gc.collect()
    if (trim := _trim()) is not None:
        await asyncio.to_thread(trim, 0)  # it lets others run
    return resident()


def resident() -> int:
    """Bytes that this process has in memory; 0 where that cannot be read."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _trim() -> Callable[[int], int] | None:
    """glibc's `malloc_trim`, where there is one."""
    if sys.platform != "linux":
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found

"""How long tests wait: for a condition long, since only a failure takes all of it; for a promised time a little longer than promised."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONG = 90.0
"""Seconds in which a condition must have come true."""
BUSY = 3.0
"""Seconds that a machine with more tests at once than cores may add to what the product promises."""


def wait_for(condition: Callable[[], T], seconds: float = LONG, what: str = "") -> T:
    """The first true value of ``condition``; fails the test when there is none in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, _never(condition, seconds, what)
        time.sleep(0.02)
    return value


async def until(condition: Callable[[], object], seconds: float = LONG) -> float:
    """Wait for a condition as `wait_for` does, and let other tasks run meanwhile; the seconds that it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, _never(condition, seconds)
        await asyncio.sleep(0.005)
    return time.monotonic() - start


def _never(condition: Callable[[], object], seconds: float, what: str = "") -> str:
    said = what or (inspect.getsource(condition).strip() if inspect.isfunction(condition) else repr(condition))
    return f"not within {seconds:g} s: {said}"

"""Timers for what every request has and hardly any needs: a deadline, a sign of life. One timer of the event loop serves them all.

The loop's own timers are exact, and each costs as much as a hundredth of a request.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

TICK = 0.05
"""Seconds that a timer may be late, never early."""


class Timer:
    """What `call_later` gave; `cancel` is safe to repeat."""

    __slots__ = ("_args", "_bucket", "_callback")

    def __init__(self, bucket: set[Timer], callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._bucket: set[Timer] | None = bucket
        self._callback, self._args = callback, args

    def cancel(self) -> None:
        if self._bucket is not None:
            self._bucket.discard(self)
            self._forget()

    def run(self) -> None:
        if self._bucket is not None:  # one that ran before in the same tick may have cancelled it
            callback, args = self._callback, self._args
            self._forget()
            callback(*args)

    def _forget(self) -> None:
        self._bucket = None
        self._callback, self._args = _nothing, ()


class _Timers:
    """Of one event loop: those that are due in the same tick lie together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self._buckets: dict[int, set[Timer]] = {}
        self._ticks: list[int] = []
        """Of all buckets, the next first."""
        self._next: asyncio.TimerHandle | None = None
        self._wakes = 0

    def add(self, seconds: float, callback: Callable[..., object], args: tuple[Any, ...]) -> Timer:
        tick = int((asyncio.get_running_loop().time() + seconds) / TICK) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = set()
            heapq.heappush(self._ticks, tick)
            if self._next is None or tick < self._wakes:
                self._wake_at(tick)
        timer = Timer(bucket, callback, args)
        bucket.add(timer)
        return timer

    def _wake_at(self, tick: int) -> None:
        if self._next is not None:
            self._next.cancel()
        self._wakes = tick
        loop = asyncio.get_running_loop()
        self._next = loop.call_later(max(0.0, tick * TICK - loop.time()), self._wake)

    def _wake(self) -> None:
        self._next = None
        loop = asyncio.get_running_loop()
        now = loop.time() / TICK
        while self._ticks and self._ticks[0] <= now:
            for timer in list(self._buckets.pop(heapq.heappop(self._ticks))):
                try:
                    timer.run()
                except Exception as error:  # noqa: BLE001 - as the loop does it: the others are due all the same
                    loop.call_exception_handler({"message": "A timer failed.", "exception": error})
        while self._ticks and not self._buckets[self._ticks[0]]:
            del self._buckets[heapq.heappop(self._ticks)]  # all were cancelled
        if self._ticks:
            self._wake_at(self._ticks[0])


_last: _Timers | None = None
"""Of the loop that asked last: a process has one that serves."""
_of: WeakKeyDictionary[asyncio.AbstractEventLoop, _Timers] = WeakKeyDictionary()


def call_later(seconds: float, callback: Callable[..., object], *args: Any) -> Timer:
    """As the running loop's own, up to a `TICK` later."""
    global _last
    loop = asyncio.get_running_loop()
    timers = _last
    if timers is None or timers.loop() is not loop:
        timers = _of.get(loop)
        if timers is None:
            timers = _of[loop] = _Timers(loop)
        _last = timers
    return timers.add(seconds, callback, args)


def _nothing() -> None:
    return None

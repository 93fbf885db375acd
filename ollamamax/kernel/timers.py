"""Timers for what every request has and hardly any needs: a deadline, a sign of life. One timer of the event loop serves them all.

The loop's own timers are exact, and each costs as much as a hundredth of a request.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

import msgspec

TICK = 0.05
"""Seconds that a timer may be late, never early."""


class Timer(msgspec.Struct, eq=False):
    """What `call_later` gave; `cancel` is safe to repeat. Every request makes some, so that each is one object and two calls."""

    callback: Callable[..., object] | None
    """``None`` once it has run, or was cancelled."""
    args: tuple[Any, ...]
    bucket: set[Timer]

    def cancel(self) -> None:
        self.callback, self.args = None, ()
        self.bucket.discard(self)


class _Timers:
    """Of one event loop: those that are due in the same tick lie together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self.buckets: dict[int, set[Timer]] = {}
        self._ticks: list[int] = []
        """Of all buckets, the next first."""
        self._next: asyncio.TimerHandle | None = None
        self._wakes = 0

    def bucket(self, tick: int) -> set[Timer]:
        """A new one, of a tick that has none."""
        bucket = self.buckets[tick] = set()
        heapq.heappush(self._ticks, tick)
        if self._next is None or tick < self._wakes:
            self._wake_at(tick)
        return bucket

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
            bucket = self.buckets.pop(heapq.heappop(self._ticks))
            due = list(bucket)
            bucket.clear()  # each timer knows it
            for timer in due:
                callback, args = timer.callback, timer.args
                if callback is None:  # one that ran before in the same tick has cancelled it
                    continue
                timer.callback, timer.args = None, ()
                try:
                    callback(*args)
                except Exception as error:  # noqa: BLE001 - as the loop does it: the others are due all the same
                    loop.call_exception_handler({"message": "A timer failed.", "exception": error})
        while self._ticks and not self.buckets[self._ticks[0]]:
            del self.buckets[heapq.heappop(self._ticks)]  # all were cancelled
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
    tick = int((loop.time() + seconds) / TICK) + 1
    bucket = timers.buckets.get(tick)
    if bucket is None:
        bucket = timers.bucket(tick)
    timer = Timer(callback, args, bucket)
    bucket.add(timer)
    return timer

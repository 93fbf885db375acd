"""The work that a process does beside its requests: for ever, started again when it dies and known to be down meanwhile (`Background`); or what a
request leaves to be done, once, to its end (`LateWork`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ollamamax import logs
from ollamamax.kernel.tasks import end

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
STEADY = 30.0
"""Seconds after which work that died before counts as sound: the next pause is the first one again."""
GRACE = 1.0
"""Seconds for which a part that is down is not told of: a connection that is made anew at once is no news."""
_log = logs.get(__name__)

Work = Callable[[], Awaitable[None]]


class Background:
    """Work by its name. It is up from its start on, unless it says `down` itself, until it raises what it does not expect.

    Work that returns is called again: it may leave its connections behind and begin anew.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._died: dict[str, str] = {}
        self._down: dict[str, tuple[float, str]] = {}

    def run(self, name: str, work: Work, *, pause: float = FIRST_PAUSE) -> None:
        """``pause``: seconds before it is started again when it died; twice as long each time."""
        self._tasks[name] = asyncio.create_task(self._keep(name, work, pause), name=name)

    def up(self, name: str) -> None:
        self._down.pop(name, None)

    def down(self, name: str, why: str) -> None:
        """It does not do its work now, and goes on trying."""
        self._down.setdefault(name, (time.monotonic(), why))

    def problems(self) -> dict[str, str]:
        """Name of what is down, and why; empty when this process does all its work."""
        horizon = time.monotonic() - GRACE
        found = {name: why for name, (since, why) in self._down.items() if since <= horizon}
        ended = {name: "It has ended." for name, task in self._tasks.items() if task.done()}
        return found | self._died | ended

    async def stop(self, *, but: str = "") -> None:
        """End all of it, or all but one."""
        kept = {name: task for name, task in self._tasks.items() if name == but}
        await end([task for name, task in self._tasks.items() if name != but])
        self._tasks = kept

    async def _keep(self, name: str, work: Work, first: float) -> None:
        pause = first
        sound: asyncio.TimerHandle | None = None
        while True:
            began = time.monotonic()
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever the defect: without this work the process only seems to live
                _log.exception("background_failed", part=name)
                if sound is not None:
                    sound.cancel()
                self._died[name] = f"It failed: {type(error).__name__}."
                pause = first if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
                await asyncio.sleep(pause)
                # Started again it counts as up when it has lived for a moment.
                sound = asyncio.get_running_loop().call_later(GRACE, self._died.pop, name, None)


class LateWork:
    """Work of one process that goes on when a client's request is over: it runs to its end, and its failures are logged."""

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

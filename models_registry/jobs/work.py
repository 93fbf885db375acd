"""A running job as its own code sees it: says how far it is, and learns that it must stop."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ollamamax.kernel.errors import OllamaMaxError


class Stopped(OllamaMaxError):
    """The job was cancelled, or is not this process's any more, or this process ends."""

    code = "cancelled"
    status = 499


SPEED_SECONDS = 10.0
"""The time over which speed is measured: shorter, and the time left jumps; longer, and a stall is seen late."""


class Work:
    """``progress`` are Ollama's progress messages in the order they began; one with a digest is changed in its place.

    ``clock`` gives monotonic seconds.
    """

    imported: tuple[str, ...] = ()
    """The channels that an import brought, as ``model:channel``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._progress: list[dict[str, Any]] = []
        self._clock = clock
        self._came: deque[tuple[float, int]] = deque()
        """When bytes were told of, and how many there were by then, what was there before the job began left out."""
        self._bytes = 0
        self.stopping = threading.Event()

    def tell(self, status: str) -> None:
        """A step begins. Raises `Stopped`."""
        self.check()
        with self._lock:
            if not self._progress or self._progress[-1]["status"] != status:
                self._progress.append({"status": status})

    def tell_once(self, status: str) -> None:
        """As `tell`, for a step that others may have begun before. Raises `Stopped`."""
        if all(row["status"] != status for row in self.snapshot()):
            self.tell(status)

    def tell_bytes(self, status: str, digest: str, total: int, completed: int) -> None:
        """How much of a blob has come or gone. Raises `Stopped`."""
        self.check()
        row = {"status": status, "digest": digest, "total": total, "completed": completed}
        with self._lock:
            for index, held in enumerate(self._progress):
                if held.get("digest") == digest and held["status"] == status:
                    self._count(completed - held["completed"])
                    self._progress[index] = row
                    return
            # What a first word tells of was there before: of an earlier try, or of another model.
            self._count(0)
            self._progress.append(row)

    def _count(self, more: int) -> None:
        self._bytes += max(0, more)
        self._came.append((self._clock(), self._bytes))
        self._forget_old()

    def _forget_old(self) -> None:
        """Keep one that is older than the time over which speed is measured: from it on is counted."""
        oldest = self._clock() - SPEED_SECONDS
        while len(self._came) > 1 and self._came[1][0] <= oldest:
            self._came.popleft()

    def speed(self) -> float | None:
        """Bytes a second over the last seconds; ``None`` while none come."""
        with self._lock:
            self._forget_old()
            if len(self._came) < 2:
                return None
            (began, before), (_, now) = self._came[0], self._came[-1]
            took = self._clock() - max(began, self._clock() - SPEED_SECONDS)
            return (now - before) / took if now > before and took > 0 else None

    def check(self) -> None:
        if self.stopping.is_set():
            raise Stopped("The job was stopped.")

    def snapshot(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._progress)

"""A running job as its own code sees it: says how far it is, and learns that it must stop."""

from __future__ import annotations

import threading
from typing import Any

from ollamamax.kernel.errors import OllamaMaxError


class Stopped(OllamaMaxError):
    """The job was cancelled, or is not this process's any more, or this process ends."""

    code = "cancelled"
    status = 499


class Work:
    """``progress`` are Ollama's progress messages in the order they began; one with a digest is changed in its place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: list[dict[str, Any]] = []
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
                    self._progress[index] = row
                    return
            self._progress.append(row)

    def check(self) -> None:
        if self.stopping.is_set():
            raise Stopped("The job was stopped.")

    def snapshot(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._progress)

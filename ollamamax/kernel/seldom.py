"""What is said at most once in a while, however often it happens: a node that floods must not flood the log."""

from __future__ import annotations

import time


class Seldom:
    """``seconds`` apart for each of at most ``most`` things; beyond that all are forgotten, and said again."""

    def __init__(self, seconds: float = 10.0, most: int = 10_000) -> None:
        self._seconds = seconds
        self._most = most
        self._said: dict[str, float] = {}

    def __call__(self, what: str) -> bool:
        """Whether to say it now."""
        now = time.monotonic()
        if now - self._said.get(what, now - self._seconds) < self._seconds:
            return False
        if len(self._said) >= self._most:
            self._said.clear()
        self._said[what] = now
        return True

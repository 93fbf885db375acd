"""The last lines of a log, numbered."""

from __future__ import annotations

from collections import deque


class LogRing:
    """For all threads. Lines have numbers from 1 on; older ones than the last ``most`` are gone."""

    def __init__(self, most: int = 2000) -> None:
        self._lines: deque[tuple[int, str]] = deque(maxlen=most)
        self._last = 0

    def add(self, text: str) -> None:
        self._last += 1
        self._lines.append((self._last, text))

    def add_bytes(self, line: bytes) -> None:
        self.add(line.decode(errors="replace").rstrip("\n"))

    def after(self, number: int, most: int) -> list[tuple[int, str]]:
        """The last ``most`` of those after ``number``, the oldest first."""
        # A copy in one step: other threads add meanwhile.
        return [line for line in list(self._lines) if line[0] > number][-most:]

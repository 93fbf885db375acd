"""Whose bytes are read next: of connections that bring some at once, few are parsed in one turn of the event loop.

Each that is parsed may begin a request, which costs a hundred times what its read does. What waits lies in memory, at most one
read of a connection, which is asked for no more meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from ollamamax.gateway.http import Owner

MOST = 8
"""Reads that are parsed in one turn of the loop."""


class ReadableConnection(Protocol):
    """A connection, and whose it is."""

    owner: Owner

    def read(self) -> None:
        """Parse what it holds."""


class Reading:
    """One per process. Owners take turns, one read each; those of one owner come in their order.

    So the read of an owner that has no other waiting is parsed after at most one of every other owner.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._read = 0
        self._waiting: dict[str, deque[ReadableConnection]] = {}
        """By owner, whoever is next first. None is empty."""

    def may_read(self) -> bool:
        """Whether what has just come may be parsed at once; if not, let it `wait`."""
        if self._waiting or self._read >= self._most:
            return False
        if not self._read:
            asyncio.get_running_loop().call_soon(self._next)
        self._read += 1
        return True

    def wait(self, reader: ReadableConnection) -> None:
        """Its `read` is called when its turn has come, once for each call of this."""
        if (queue := self._waiting.get(reader.owner.name)) is None:
            self._waiting[reader.owner.name] = deque((reader,))
        else:
            queue.append(reader)

    def _next(self) -> None:
        self._read = 0
        while self._waiting and self._read < self._most:
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            reader = queue.popleft()
            if queue:
                self._waiting[owner] = queue  # behind all others
            self._read += 1
            reader.read()
        if self._read:
            asyncio.get_running_loop().call_soon(self._next)

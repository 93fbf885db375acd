"""Keeps many requests that come at once from holding up the streams that run."""

from __future__ import annotations

import asyncio
from collections import deque

MOST = 4
"""Requests that begin before the loop looks again for what else has come: about a millisecond of work."""


class Turns:
    """Of requests that come together so many begin in one turn of the event loop, the others in the next ones, in their order."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def begin(self) -> None:
        """Return when it is this request's turn."""
        loop = asyncio.get_running_loop()
        if self._begun >= self._most:
            self._waiting.append(place := loop.create_future())
            await place
            return
        if not self._begun:
            loop.call_soon(self._next)
        self._begun += 1

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._most:
            place = self._waiting.popleft()
            if not place.done():  # whoever waited may have left
                place.set_result(None)
                self._begun += 1
        if self._begun:
            asyncio.get_running_loop().call_soon(self._next)

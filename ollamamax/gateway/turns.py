"""Keeps many requests that come at once from holding up the streams that run, and those of one tenant from holding up another's."""

from __future__ import annotations

import asyncio
from collections import deque

MOST = 4
"""Requests that begin before the loop looks again for what else has come: about a millisecond of work."""


class Turns:
    """Of requests that come together so many begin in one turn of the event loop, the others in the next ones.

    Owners of requests that wait take turns, one request each; those of one owner begin in their order. So one request of an
    owner that has no other waiting begins after at most one of every other owner that waits.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._begun = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By owner, whoever is next first. None is empty."""

    async def begin(self, owner: str = "") -> None:
        """Return when it is this request's turn."""
        loop = asyncio.get_running_loop()
        if self._begun >= self._most:
            place = loop.create_future()
            if (queue := self._waiting.get(owner)) is None:
                self._waiting[owner] = deque((place,))
            else:
                queue.append(place)
            await place
            return
        if not self._begun:
            loop.call_soon(self._next)
        self._begun += 1

    def _next(self) -> None:
        self._begun = 0
        while self._waiting and self._begun < self._most:
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            while queue:
                place = queue.popleft()
                if not place.done():  # whoever waited may have left
                    place.set_result(None)
                    self._begun += 1
                    break
            if queue:
                self._waiting[owner] = queue  # behind all others
        if self._begun:
            asyncio.get_running_loop().call_soon(self._next)

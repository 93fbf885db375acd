"""Where requests wait that found no idle slot: the end of another one of the same model is the best news there is."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque

Place = tuple[str, str]
"""A tenant and its name of a model."""


class Room:
    """Without this, a slot that a short request frees would stay idle until somebody asks again."""

    def __init__(self) -> None:
        self._waiting: defaultdict[Place, deque[asyncio.Event]] = defaultdict(deque)

    def freed(self, place: Place) -> None:
        """One of the requests there has ended: the first that waits may ask again."""
        if waiting := self._waiting.get(place):
            waiting.popleft().set()

    async def wait(self, place: Place, seconds: float) -> bool:
        """Return when it may be worth asking again, at most so much later; whether another request has ended."""
        freed = asyncio.Event()
        self._waiting[place].append(freed)
        try:
            async with asyncio.timeout(seconds):
                await freed.wait()
        except TimeoutError:
            return False
        else:
            return True
        finally:
            waiting = self._waiting[place]
            if freed in waiting:
                waiting.remove(freed)
            if not waiting:
                del self._waiting[place]

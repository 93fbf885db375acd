"""Keeps many requests that come at once from holding up the streams that run."""

from __future__ import annotations

import asyncio

MOST = 4
"""Requests that begin before the loop looks again for what else has come: about a millisecond of work."""


class Turns:
    """Of requests that come together so many begin in one turn of the event loop, the others in the next ones, in their order."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._begun = 0

    async def begin(self) -> None:
        """Return when it is this request's turn."""
        while self._begun >= self._most:  # noqa: ASYNC110 - what is waited for is the next turn
            await asyncio.sleep(0)
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next)
        self._begun += 1

    def _next(self) -> None:
        self._begun = 0

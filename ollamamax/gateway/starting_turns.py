"""Keeps many requests that come at once from holding up the streams that run, and those of one tenant from holding up another's."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from ollamamax.gateway.http import Owner
from ollamamax.gateway.pace import Pace

MOST = 4
"""Requests that begin before the loop looks again for what else has come: about a millisecond of work."""
_LOOK_SECONDS = 0.01
_LOOKED_AT = 64
"""Owners that are looked at in one turn of the loop: whether a request of theirs may begin."""


class Turns:
    """Lets a few of the requests that come together begin in one turn of the event loop, and the others in the next ones.

    Owners of requests that wait take turns, one request each; those of one owner begin in their order. So one request of an
    owner that has no other waiting begins after at most one of every other owner that waits. ``pace`` holds back besides whoever
    asks more often than the process can bear beside others.
    """

    def __init__(self, most: int = MOST, pace: Pace | None = None) -> None:
        self._most = most
        self._pace = pace
        self._begun = 0
        self._turning = False
        self._later: asyncio.TimerHandle | None = None
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By owner, whoever is next first. None is empty."""
        self._looking: asyncio.TimerHandle | None = None

    async def begin(self, owner: str = "", *, asks: bool = True, connection: Owner | None = None) -> None:
        """Return when it is this request's turn. ``asks``: its owner is one whom others are held back for. Raises `ClientGone` when
        its ``connection`` is closed meanwhile: whoever leaves does not hold up those who stay."""
        pace, now = self._pace, 0.0
        if pace is not None:
            now = time.monotonic()
            if asks:
                pace.asks(owner, now)
            if pace.several and self._looking is None:
                self._look_later(now)
        if self._begun >= self._most or owner in self._waiting or (pace is not None and pace.wait(owner, now) > 0):
            place = asyncio.get_running_loop().create_future()
            if (queue := self._waiting.get(owner)) is None:
                self._waiting[owner] = deque((place,))
            else:
                queue.append(place)
            self._turn()
            if connection is None:
                await place
                return
            connection.waits = place
            try:
                await place
            finally:
                connection.waits = None
            return
        self._turn()
        self._begun += 1
        if pace is not None:
            pace.begins(owner, now)

    def _turn(self) -> None:
        """Let `_next` run in the next turn of the loop."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._turning, self._later, self._begun = False, None, 0
        pace = self._pace
        now = 0.0 if pace is None else time.monotonic()
        held = 0
        soonest = _LOOK_SECONDS
        while self._begun < self._most and held < min(len(self._waiting), _LOOKED_AT):
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            if pace is not None and (seconds := pace.wait(owner, now)) > 0:
                held += 1
                soonest = min(soonest, seconds)
            else:
                self._let_one(queue, owner, now)
            if queue:
                self._waiting[owner] = queue  # behind all others
        if self._begun:
            self._turn()
        elif self._waiting:
            self._later = asyncio.get_running_loop().call_later(soonest, self._next)

    def _let_one(self, queue: deque[asyncio.Future[None]], owner: str, now: float) -> None:
        while queue:
            place = queue.popleft()
            if not place.done():  # whoever waited may have left
                place.set_result(None)
                self._begun += 1
                if self._pace is not None:
                    self._pace.begins(owner, now)
                return

    def _look_later(self, now: float) -> None:
        self._looking = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, now + _LOOK_SECONDS)

    def _look(self, due: float) -> None:
        """How late this process is, as long as that matters to several."""
        self._looking = None
        assert self._pace is not None  # noqa: S101 - nobody looks without one
        now = time.monotonic()
        self._pace.look(now - due, held=bool(self._waiting))
        self._pace.forget_old(now)
        if self._pace.several or self._waiting:
            self._look_later(now)

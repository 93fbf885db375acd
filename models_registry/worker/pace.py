"""How fast bytes come, and how fast they may: for the transfers of one node. Clocks are arguments; waiting is the caller's."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from models_registry.replication.terms import LEAST_RATE, RATE_HEADER, REGION_RATE_HEADER, told_rate
from ollamamax.contract.peers import TransferLeave

OVER_SECONDS = 5.0
"""A speed is that of so many last seconds."""


class Speed:
    """Bytes a second of one transfer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    def at(self, total: int) -> float | None:
        """``total`` bytes have come by now. ``None`` while that is too short to tell."""
        now = self._clock()
        if now - self._seen[-1][0] >= 0.2:
            self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[1][0] > OVER_SECONDS:
            self._seen.popleft()
        began, before = self._seen[0]
        # A part that was thrown away begins anew.
        return max(0, total - before) / (now - began) if now - began >= 1.0 else None


class Throttle:
    """A bucket that fills by ``rate`` bytes a second; ``None`` is no bound. Shared by all that draw from it."""

    def __init__(self, rate: int | None = None) -> None:
        self.rate = rate
        self._free_at = 0.0

    @property
    def backlog(self) -> float:
        """Seconds that the next one waits."""
        return 0.0 if self.rate is None else max(0.0, self._free_at - asyncio.get_running_loop().time())

    async def take(self, count: int) -> None:
        """Return when ``count`` bytes may have come; who takes more than there is makes the next wait."""
        if self.rate is None:
            return
        now = asyncio.get_running_loop().time()
        begins = max(now, self._free_at)
        self._free_at = begins + count / self.rate
        if begins > now:
            await asyncio.sleep(begins - now)


AskLeave = Callable[[int], Awaitable[TransferLeave | None]]
"""Asks the control plane for leave to take so many bytes; ``None`` where it does not answer."""


class BytePace:
    """What each byte of one version waits for, whichever way it comes: the host's owner, the terms, and the other nodes of the region.

    ``node`` is shared by all transfers of the node, the rest by all blobs and connections of the version. `told` says what the terms are by now.
    """

    def __init__(self, node: Throttle, ask: AskLeave | None = None) -> None:
        self._node, self._ask = node, ask
        self._terms, self._alone = Throttle(), Throttle(LEAST_RATE)
        self._region_rate: int | None = None
        self._turn = asyncio.Lock()

    def told(self, rate: int | None, region_rate: int | None) -> None:
        """Bytes a second of this node, and of all nodes of its region together; ``None`` is no bound."""
        self._terms.rate = None if rate is None else max(LEAST_RATE, rate)
        self._region_rate = region_rate

    def told_by(self, headers: Mapping[str, str]) -> None:
        """The same, by an answer with bytes of it."""
        self.told(told_rate(headers.get(RATE_HEADER, "")), told_rate(headers.get(REGION_RATE_HEADER, "")))

    async def take(self, count: int) -> None:
        """Return when ``count`` bytes may come, or, where they came by themselves, when the next may."""
        await self._node.take(count)
        await self._terms.take(count)
        if self._region_rate is not None and self._ask is not None:
            async with self._turn:
                await self._wait_for_leave(count, self._ask)

    async def _wait_for_leave(self, count: int, ask: AskLeave) -> None:
        while (leave := await ask(count)) is not None:
            await asyncio.sleep(leave.wait)
            if leave.bytes:
                return
        # Nobody counts for the region meanwhile: as little as terms can say.
        await self._alone.take(count)

"""Has one blob in pieces from other nodes of the region, and from the control plane what no other node is about to have.

Which node has a piece from the control plane is settled without talking: all know the same members, and each piece has an order of them, by hashing
(rendezvous). The first has it at once; the next ones only when nothing came for a while, one after the other. Each piece is checked by its
hash as it comes: a node that sends something else is not asked again.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from models_registry.worker.pieces import PieceFile
from ollamamax import logs
from ollamamax.contract.peers import BlobPeer

AT_ONCE = 8
OF_REGISTRY = 3
OF_PEER = 2
LOOKERS = 4
PATIENCE = 3.0
"""Seconds without a piece after which the next node in a piece's order has it from the control plane."""
LOOK_EACH = 0.25
"""Each looker asks one other node so often what it has by now."""
SUSPENDED = 2.0
"""Seconds, and twice as long for each further failure; up to a minute or so."""
OUT_AFTER = 2
"""Failures in a row after which nobody waits for a node any more."""
FAILURES = 8
"""Failed requests of the control plane in a row after which the transfer fails."""
_log = logs.get(__name__)


class SwarmFailed(Exception):
    """For a person."""


class PeerFailed(Exception):
    """A node did not answer, or without what was asked for; ``have`` is what it said it has, where it did; ``reached``: it did answer;
    ``busy``: it would, later."""

    def __init__(self, reason: str, have: set[int] | None = None, *, reached: bool = False, busy: bool = False) -> None:
        super().__init__(reason)
        self.have, self.reached, self.busy = have, reached, busy


@dataclass
class _Member:
    peer: BlobPeer
    have: set[int] = field(default_factory=set)
    pending: int = 0
    failures: int = 0
    busy: int = 0
    resumes: float = 0.0
    looked: float = 0.0
    met: float = 0.0
    liar: bool = False
    unreachable: bool = False


AskPeer = Callable[[BlobPeer, int], Awaitable[tuple[bytes, set[int]]]]
LookAtPeer = Callable[[BlobPeer], Awaitable[set[int]]]
AskRegistry = Callable[[int], Awaitable[bytes]]


class Paced(Protocol):
    """A `Throttle` or a `BytePace`."""

    async def take(self, count: int) -> None: ...


def order_of(number: int, members: Iterable[str]) -> list[str]:
    """In which order these nodes have the piece from the control plane."""
    return sorted(members, key=lambda node: hashlib.blake2b(f"{number}/{node}".encode(), digest_size=8).digest())


class Swarm:
    """``registry`` returns a piece, or raises `OSError` or `TimeoutError`; ``ask`` and ``look`` raise `PeerFailed`."""

    def __init__(
        self,
        node: str,
        file: PieceFile,
        registry: AskRegistry,
        ask: AskPeer,
        look: LookAtPeer,
        progress: Callable[[int, int], None],
        pace: Paced,
        patience: float = PATIENCE,
    ) -> None:
        self._node, self._file = node, file
        self._registry, self._ask, self._look = registry, ask, look
        self._progress, self._pace, self._patience = progress, pace, patience
        self._members: dict[str, _Member] = {}
        self._flying: set[int] = set()
        self._of_registry = 0
        self._failures = 0
        self._wrong = 0
        self._order = random.sample(range(file.count), file.count)
        self._orders: dict[int, list[str]] = {}
        self._changed = asyncio.Event()
        self._last = 0.0
        self.bytes_of_peers = 0
        self.bytes_of_registry = 0

    def meet(self, peers: list[BlobPeer]) -> None:
        """Who has the blob or is to have it, by the control plane; with new tickets."""
        known = self._members
        self._members = {}
        for peer in peers:
            if peer.node == self._node:
                continue
            member = known.get(peer.node) or _Member(peer, met=self._now)
            member.peer = peer
            if peer.whole:
                member.have = set(range(self._file.count))
            self._members[peer.node] = member
        self._orders.clear()

    async def run(self) -> None:
        """Have all pieces. Raises `SwarmFailed`, and `OSError` for the disk's."""
        self._last = self._now
        self._tell()
        async with asyncio.TaskGroup() as group:
            looking = [group.create_task(self._keep_looking()) for _ in range(LOOKERS)]
            workers = [group.create_task(self._work()) for _ in range(AT_ONCE)]
            await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for each in looking:
                each.cancel()

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def _is_whole(self) -> bool:
        return len(self._file.have) == self._file.count

    async def _work(self) -> None:
        while not self._is_whole:
            chosen = self._choose()
            if chosen is None:
                self._changed.clear()
                try:
                    async with asyncio.timeout(LOOK_EACH):
                        await self._changed.wait()
                except TimeoutError:
                    pass
                continue
            number, member = chosen
            self._flying.add(number)
            try:
                await self._pace.take(self._file.length(number))
                if member is None:
                    await self._of_the_registry(number)
                else:
                    await self._of_a_peer(number, member)
            finally:
                self._flying.discard(number)
                self._changed.set()

    def _choose(self) -> tuple[int, _Member | None] | None:
        """What to have next, and of whom (``None``: of the control plane)."""
        missing = [number for number in self._order if number not in self._file.have and number not in self._flying]
        self._order = [number for number in self._order if number not in self._file.have]
        now = self._now
        rank = int((now - self._last) / self._patience)
        if self._of_registry < OF_REGISTRY:
            for number in missing:
                if self._rank(number) == 0 and not self._someone_has(number, whole=True):
                    self._of_registry += 1
                    return number, None
        asked = [m for m in self._members.values() if not m.liar and m.pending < OF_PEER and m.resumes <= now]
        if asked:
            for number in missing:
                if holders := [member for member in asked if number in member.have]:
                    best = min(holders, key=lambda member: (member.pending, random.random()))  # noqa: S311
                    best.pending += 1
                    return number, best
        if self._of_registry < OF_REGISTRY and rank > 0:
            for number in missing:
                if self._rank(number) <= rank:
                    self._of_registry += 1
                    self._last = now  # one at a time: others may be about to have the next
                    return number, None
        return None

    def _rank(self, number: int) -> int:
        """How many come before this node in the piece's order."""
        if number not in self._orders:
            whole = {node for node, member in self._members.items() if member.peer.whole}
            order = order_of(number, {self._node, *(self._members.keys() - whole)})
            self._orders[number] = order[: order.index(self._node)]
        return sum(1 for node in self._orders[number] if not self._is_out(self._members[node]))

    def _is_out(self, member: _Member) -> bool:
        """Whether nobody waits for it: it cannot be reached, or has not begun for long."""
        idle = not member.have and self._now - member.met > 2 * self._patience
        return member.liar or member.unreachable or idle

    def _someone_has(self, number: int, *, whole: bool) -> bool:
        now = self._now
        return any(
            number in member.have and not member.liar and member.resumes <= now and (member.peer.whole or not whole)
            for member in self._members.values()
        )

    async def _of_the_registry(self, number: int) -> None:
        try:
            data = await self._registry(number)
        except (OSError, TimeoutError) as error:
            self._failures += 1
            if self._failures >= FAILURES:
                raise SwarmFailed(f"The control plane cannot be reached: {error}.") from error
            await asyncio.sleep(min(5.0, 0.2 * 2**self._failures) * random.random())  # noqa: S311
            return
        finally:
            self._of_registry -= 1
        if not await self._file.put(number, data):
            self._wrong += 1
            if self._wrong >= 3:
                raise SwarmFailed("The bytes that came are not those of that digest.")
            return
        self._failures = 0
        self.bytes_of_registry += len(data)
        self._came()

    async def _of_a_peer(self, number: int, member: _Member) -> None:
        try:
            data, have = await self._ask(member.peer, number)
            if not await self._file.put(number, data):
                member.liar = True
                _log.error("peer_sent_wrong_bytes", peer=member.peer.node, piece=number)
                return
        except PeerFailed as error:
            # Who has a piece and does not give it is not asked for it at once again.
            if error.have is not None and (error.busy or number not in error.have):
                member.have = error.have
                if error.busy:
                    member.busy += 1
                    member.resumes = self._now + random.uniform(0.5, 1.5) * 2 ** min(member.busy - 1, 5)  # noqa: S311
            else:
                self._suspend(member, str(error))
            return
        finally:
            member.pending -= 1
        member.failures = member.busy = 0
        member.have |= have
        self.bytes_of_peers += len(data)
        self._came()

    def _suspend(self, member: _Member, reason: str) -> None:
        member.failures += 1
        member.unreachable = member.failures >= OUT_AFTER
        member.resumes = self._now + SUSPENDED * 2 ** min(member.failures - 1, 5)
        _log.info("peer_suspended", peer=member.peer.node, reason=reason)

    def _came(self) -> None:
        self._last = self._now
        self._tell()

    def _tell(self) -> None:
        self._progress(self._file.bytes_there, self.bytes_of_peers)

    async def _keep_looking(self) -> None:
        """What others have by now: one of them at a time, who was asked longest ago."""
        while True:
            await asyncio.sleep(LOOK_EACH)
            now = self._now
            possible = [
                member
                for member in self._members.values()
                if not member.liar and member.resumes <= now and len(member.have) < self._file.count
            ]
            if not possible:
                continue
            member = min(possible, key=lambda each: (each.looked, random.random()))  # noqa: S311
            member.looked = now
            try:
                member.have |= await self._look(member.peer)
                member.unreachable, member.failures = False, 0
                self._changed.set()
            except PeerFailed as error:
                # It may not have begun: it is asked again soon.
                member.failures += 1
                member.unreachable = not error.reached and member.failures >= OUT_AFTER
                member.resumes = self._now + 0.25 * 2 ** min(member.failures, 6)
                _log.debug("peer_not_looked_at", peer=member.peer.node, reason=str(error))

"""The way in: takes tickets from the node's inbox, no more than there are free slots.

While a drain is under way its lease stands in Redis, and admission sends no Celery message. The lease is given up only
in a transaction that fails when a ticket came in, so that none is left lying. It is kept for a while after the last ticket:
Celery takes longer to wake a node than all else that a short request needs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import redis.asyncio
from redis.exceptions import RedisError, WatchError

from cluster.worker.outlet import DONE_LENGTH, Outlets
from cluster.worker.runs import Runs, cancelled
from ollamamax import contract, logs
from ollamamax.bus import keys
from ollamamax.bus.link import Command
from ollamamax.bus.pipelined import Pipelined

LEASE_MILLISECONDS = 5000
RENEW_SECONDS = 1.5
IDLE_SECONDS = 1.0
PAUSE_SECONDS = 0.5
LOOKS_ASTRAY = 2
MOST_AT_ONCE = 8
"""The first of many that come together goes to the engine before the last is read."""

log = logs.get("cluster.worker.inbox")


class Inbox:
    """``claiming`` is for this alone: it waits in Redis. ``slots`` is how many tickets run at once.

    ``awake``: seconds without a ticket after which a drain ends.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        claiming: Pipelined,
        node: str,
        boot: str,
        slots: int,
        runs: Runs,
        outlets: Outlets,
        awake: float,
    ) -> None:
        self._redis = client
        self._claiming = claiming
        self._node = node
        self._boot = boot
        self.slots = slots
        self._runs = runs
        self._outlets = outlets
        self._inbox = keys.node_inbox(node)
        self._claimed = keys.node_claimed(node)
        self._awake = awake
        self._busy_at = 0.0
        """When there was something to do last."""
        self._again = False
        self._more = 0
        """How many tickets waited when the last were taken."""
        self._sweep: asyncio.Task[None] | None = None
        self._unseen: set[str] = set()
        self._astray = 0
        """At how many looks in a row more tickets were claimed than came here."""
        self._leased = False
        self._lease_lock = asyncio.Lock()
        self.stopping = False
        self.idle = asyncio.Event()
        self.idle.set()

    def resize(self, slots: int) -> None:
        """Run so many tickets at once from now on; what runs already goes on."""
        if slots != self.slots:
            log.info("slots_changed", before=self.slots, now=slots)
            self.slots = slots
            self._runs.changed.set()

    async def drain(self) -> None:
        """Take tickets until there are none and none is running. A second call while one drains returns at once."""
        self._again = True
        if self.draining:
            return
        self.idle.clear()
        try:
            while self._again and not self.stopping:
                # Set again by a call that came after the lease was given up and before this line was reached.
                self._again = False
                await self._drain()
        finally:
            self.idle.set()

    @property
    def draining(self) -> bool:
        return not self.idle.is_set()

    async def _drain(self) -> None:
        async with self._lease():
            while not self.stopping:
                try:
                    if await self._step():
                        return
                except (RedisError, OSError, TimeoutError) as error:
                    log.warning("inbox_waits_for_redis", error=str(error))
                    self._more = 0
                    await asyncio.sleep(PAUSE_SECONDS)
                    await self._adopt()

    async def _step(self) -> bool:
        """Take tickets, or wait for one or for a free slot; True when the drain is over."""
        free = self.slots - len(self._runs.running)
        if free <= 0:
            self._runs.changed.clear()
            await self._runs.changed.wait()
            return False
        # Never sent twice: the answer to the first would be a ticket that nobody runs. `_adopt` looks what became of it.
        *taken, self._more = await self._claiming.do_all(
            [*self._take(min(free, self._more)), ("LLEN", self._inbox)], once=True
        )
        for raw in filter(None, taken):
            await self._begin(raw)
        now = asyncio.get_running_loop().time()
        if any(taken) or self._runs.running:
            self._busy_at = now
        if any(taken):
            # The requests go to the engine before we ask for the next tickets.
            await asyncio.sleep(0)
            return False
        over = not self._more and not self._runs.running and now - self._busy_at >= self._awake
        return over and await self._release()

    def _take(self, waiting: int) -> list[Command]:
        """As many as are known to wait, in one round trip; the first of them when none is."""
        if not waiting:
            return [("BLMOVE", self._inbox, self._claimed, "LEFT", "RIGHT", IDLE_SECONDS)]
        return [("LMOVE", self._inbox, self._claimed, "LEFT", "RIGHT")] * min(waiting, MOST_AT_ONCE)

    async def _begin(self, raw: bytes) -> None:
        try:
            ticket = contract.decode_ticket(raw)
        except msgspec.DecodeError as error:
            log.error("ticket_unreadable", error=str(error))  # noqa: TRY400 - the trace tells nothing more
            await self._redis.lrem(self._claimed, 1, raw)
            return
        self._runs.start(ticket, raw)

    async def _adopt(self) -> None:
        """Start what was claimed by a command whose answer was lost."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            for raw in await self._tickets(self._claimed):
                await self._begin(raw)

    @contextlib.asynccontextmanager
    async def _lease(self) -> AsyncIterator[None]:
        self._leased = True
        task = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            self._leased = False
            task.cancel()

    async def _renew(self) -> None:
        while True:
            async with self._lease_lock:
                if not self._leased:
                    return
                with contextlib.suppress(RedisError, OSError, TimeoutError):
                    await self._redis.set(keys.node_drain(self._node), self._boot, px=LEASE_MILLISECONDS)
            await asyncio.sleep(RENEW_SECONDS)

    async def _release(self) -> bool:
        """Give the lease up if the inbox is empty. False when a ticket came in."""
        # The lock: a renewal on its way must not arrive after the lease was deleted.
        async with self._lease_lock, self._redis.pipeline(transaction=True) as pipe:
            await pipe.watch(self._inbox)
            if await pipe.llen(self._inbox):
                return False
            pipe.multi()
            pipe.delete(keys.node_drain(self._node))
            try:
                await pipe.execute()
            except WatchError:
                return False
            self._leased = False
        return True

    async def fail_leftovers(self) -> None:
        """End the tickets that the node's former process had claimed."""
        for raw in await self._tickets(self._claimed):
            try:
                ticket = contract.decode_ticket(raw)
            except msgspec.DecodeError:
                await self._redis.lrem(self._claimed, 1, raw)
                continue
            log.warning("ticket_lost", ticket=ticket.id)
            await self._refuse(ticket, raw, self._claimed, restarted(), contract.LOST)

    def cancel(self, ticket: str) -> None:
        """End a ticket that has not been taken yet: at the latest when its turn comes."""
        self._runs.cancel(ticket)
        self._unseen.add(ticket)
        if self._sweep is None or self._sweep.done():
            self._sweep = asyncio.create_task(self._remove_cancelled())

    async def _remove_cancelled(self) -> None:
        """Take cancelled tickets out of the inbox; one look for all cancellations that gathered meanwhile."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            while self._unseen:
                wanted, self._unseen = self._unseen, set()
                for raw in await self._tickets(self._inbox):
                    ticket = contract.decode_ticket(raw)
                    if ticket.id in wanted:
                        await self._refuse(ticket, raw, self._inbox, cancelled(), 0)

    async def holds(self, ticket: str) -> bool:
        """Whether the ticket waits, or was claimed a moment ago."""
        for name in (self._inbox, self._claimed):
            for raw in await self._tickets(name):
                if contract.decode_ticket(raw).id == ticket:
                    return True
        return self._runs.knows(ticket)

    async def _refuse(self, ticket: contract.Ticket, raw: bytes, where: str, end: contract.Failure, seq: int) -> None:
        """End a ticket that does not run here, if it is still at ``where``."""
        if not await self._redis.lrem(where, 1, raw):
            return  # it was taken in between; `Runs.cancel` ends it
        done = {"outcome": "cancelled" if end.code == "cancelled" else "failed", "finish": end.code}
        await self._redis.xadd(
            keys.node_done(self._node),
            {"t": ticket.id, "r": msgspec.json.encode(done | {"prompt_tokens": 0, "completion_tokens": 0})},
            maxlen=DONE_LENGTH,
            approximate=True,
        )
        self._outlets.to(ticket.gateway).frame(contract.Frame(ticket.id, seq, [end]))

    async def _tickets(self, name: str) -> list[bytes]:
        found: list[Any] = await self._redis.lrange(name, 0, -1)
        return found

    async def look(self) -> int:
        """How many tickets wait. Finds besides whether some were claimed that never came here: see `heal`."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.llen(self._inbox)
            pipe.llen(self._claimed)
            waiting, claimed = await pipe.execute()
        self._astray = self._astray + 1 if claimed > self._runs.claimed() else 0
        return int(waiting)

    async def heal(self) -> None:
        """Run the tickets that were claimed and never came here, because the answer to a claim was lost.

        One that is on its way is counted for a moment: only what was there at two looks in a row counts.
        """
        if self._astray >= LOOKS_ASTRAY and not self.stopping:
            self._astray = 0
            await self._adopt()


def restarted() -> contract.Failure:
    return contract.Failure("node_restarted", "The node was restarted while it ran the request.", 503)


def evicted() -> contract.Failure:
    return contract.Failure("unavailable", "The node was drained before the request was finished.", 503)


def stopping() -> contract.Failure:
    return contract.Failure("unavailable", "The node was stopped before the request was finished.", 503)

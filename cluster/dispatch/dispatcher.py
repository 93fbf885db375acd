"""Runs requests on nodes: admit, wait, follow the events, cancel, try again elsewhere, settle. One per gateway process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from redis.exceptions import RedisError, ResponseError

from cluster.dispatch import continuation, quarantine
from cluster.dispatch.admission import Admission, Bounds
from cluster.dispatch.gateway_lease import Gathers, Lease
from cluster.dispatch.orders import Orders
from cluster.dispatch.placement import Placement
from cluster.dispatch.quarantine import Quarantine
from cluster.dispatch.queue import Queue, Tell
from cluster.dispatch.request import Request, Waited
from cluster.dispatch.router import Router
from cluster.dispatch.settlement import Settlements
from cluster.dispatch.tally import Tally
from cluster.dispatch.token_stream import TokenStream
from cluster.dispatch.token_streams import TokenStreams
from cluster.fleet.breaker import Breakers
from cluster.fleet.fleet import Fleet
from cluster.fleet.node_allowance import NodeAllowances
from cluster.fleet.presence import LOOK_SECONDS, Presence
from ollamamax import logs
from ollamamax.bus import connect, keys
from ollamamax.bus.background import Background, LateWork
from ollamamax.bus.directory import Directory
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract import (
    AttemptRecord,
    Delta,
    Event,
    Failure,
    Final,
    Outcome,
    Started,
    UsageRecord,
    encode_json,
)
from ollamamax.kernel import errors, timers
from ollamamax.kernel.ids import new_id

__all__ = ["Dispatcher", "Request"]

ATTEMPTS = 3
ANSWER = 2.0
"""Seconds within which Redis must answer for this process to be ready."""
_BLAMED = frozenset({"node_lost", "node_restarted", "engine_failed", "engine_crashed", "engine_hung", "unavailable"})
"""Codes of failures that speak against the node."""
_TRY_ELSEWHERE = _BLAMED | {"cancelled", "overloaded", "model_not_found"}
"""Codes of failures that another node may not have. A node cancels by itself only when it is shut down."""
_NO_REDIS = "This installation's Redis is of no use now."
_EARLY = 1.0
"""Seconds that a request must have left for a node that says its time is over to be wrong."""
DEATHS_APART = 5.0
"""Seconds between two deaths on one node that have nothing to do with each other."""
_log = logs.get(__name__)


class Dispatcher:
    """Owns this process's connections to the nodes, its lease, its waiting and its unsettled requests."""

    def __init__(self, redis_url: str, directory: Directory, bounds: Bounds, region: str = "") -> None:
        self.id = new_id()
        self._client = connect.connect_async(redis_url)
        self._commands = Pipelined(redis_url)
        self.background = Background()
        self._late = LateWork()
        self.later = self._late.run
        """Runs a coroutine to its end after the client's request is over."""
        self._known: dict[str, Request] = {}
        """The requests under way here, by their ids."""
        self._allowances = NodeAllowances()
        self._breakers = Breakers()
        self._quarantine = Quarantine(self._client)
        self._deaths: dict[str, float] = {}
        self.fleet = Fleet(
            redis_url,
            self._client,
            directory,
            self._allowances,
            self.background,
            is_open=self._breakers.is_open,
            region=region,
        )
        self._presence = Presence(self._client, self.fleet)
        self._admission = Admission(self._commands, self.fleet, self.id, bounds, self._late)
        waiting: Counter[str] = Counter()
        self.router = Router(self.fleet, waiting)
        self._queue = Queue(self._commands, self._admission, self.router.rank, waiting)
        self._settlements = Settlements(self._commands, self.fleet.room, self._admission.fill_later)
        self.reloads_avoided = Tally(keys.RELOADS_AVOIDED)
        self.counted = Tally(keys.REQUESTS_COUNTED)
        tallies: list[Gathers] = [self.reloads_avoided, self.counted, self._settlements.ended]
        self._lease = Lease(self._client, self.id, self._settlements, tallies)
        self._orders = Orders(self._commands, self.router.note, self.later, self._known)
        self._streams = TokenStreams(
            self.id,
            self._commands,
            redis_url,
            self._queue.granted,
            self._admission.take_back_later,
            self._allowances,
            self.background,
            self._orders.take,
        )
        self._places = Placement(
            self.router, self._quarantine, self._streams, self._queue, self._admission, self._settlements, self.later
        )
        self._ready = asyncio.Event()

    async def start(self) -> None:
        self.background.run("tokens", lambda: self._streams.receive(self._listens))
        self.background.run("controls", self._streams.speak)
        self.background.run("requests", self._watch)
        self.background.run("nodes", self._watch_nodes)
        self.background.run("settlements", self._settlements.run)
        await self.fleet.start()
        await self._ready.wait()

    async def stop(self) -> None:
        """Settle what is unsettled, give the lease back, close."""
        await self._late.wait(5)
        await self.background.stop(but="settlements")
        await self._late.end()
        try:
            await self._settlements.flush()
            await self._lease.renew()
            await self._client.delete(keys.gateway_alive(self.id))
        except RedisError as error:
            _log.warning("stopped_unsettled", requests=len(self._settlements), error=str(error))
        await self.background.stop()
        await self._commands.aclose()
        await self._client.aclose()

    async def trouble_of_redis(self) -> str:
        """Why Redis is of no use now, or ``""`` when it answers within a moment and takes writes."""
        try:
            async with asyncio.timeout(ANSWER):
                await self._commands.do("SET", keys.gateway_writes(self.id), "", "PX", 1000)
        except ResponseError as error:
            return f"It refuses: {error}"  # such as MISCONF, when it cannot write its log because its disk is full
        except (RedisError, TimeoutError):
            return "It does not answer."
        return ""

    @property
    def waiting(self) -> int:
        """Requests of this process that wait for a slot."""
        return len(self._queue)

    @property
    def unsettled(self) -> int:
        """Requests whose usage records Redis has not taken yet."""
        return len(self._settlements)

    # -- a request ------------------------------------------------------------------------------------------------

    async def admit(self, request: Request, tell: Tell | None = None, at_first: float | None = None) -> None:
        """Give the request to a node, at once or when its turn has come; ``tell`` is called now and then while it waits.

        Raises `Interrupted` (by `Request.interrupt`), `RateLimited`, `Overloaded`, `Quarantined`, and `Unavailable` when no node has the model;
        and `Waited` after ``at_first`` seconds in the queue: then a second call waits on, and `give_up` gives the place up.
        """
        self._known[request.id] = request
        try:
            stream, node = await self._places.take(request, tell, at_first)
        except Waited:
            raise
        except errors.Unavailable as error:
            self._known.pop(request.id, None)
            # Nodes seem gone while Redis takes no writes, among them their signs of life.
            if trouble := await self.trouble_of_redis():
                raise errors.Unavailable(f"{_NO_REDIS} {trouble}", retry_after=2) from error
            raise
        except BaseException:
            self._known.pop(request.id, None)
            raise
        self._begin(request, stream, node)

    def give_up(self, request: Request, error: str, status: int) -> None:
        """Give up the place in the queue, if it still keeps one; its record has ``error`` as the code of why, and no node."""
        self._known.pop(request.id, None)
        self._places.give_up(request, error, status)

    def _begin(self, request: Request, stream: TokenStream, node: str) -> None:
        request.stream = stream
        request.node = node
        stream.give(node)
        request.node_name = self.fleet.name(node)
        request.given_at = time.time()
        reason = "queue"
        for each in request.ranked:
            if each.node == node:
                reason = each.reason
                break
        given_at, price = round(request.given_at, 6), self.fleet.price(node)
        request.route.attempts.append(
            AttemptRecord(node, request.node_name, reason, given_at, price=price[0], currency=price[1])
        )
        if self._breakers.opened:
            self._breakers.given(node, request.asked.version)
        request.attempt.patience = timers.call_later(
            request.asked.profile.first_byte_seconds, self._hung, request, request.attempt.ticket
        )
        self.fleet.given(node, 1)
        self.fleet.remember(request.wants(), node)

    async def next(self, request: Request) -> Event:
        """The request's next event, from whichever attempt is under way.

        A node that fails before the first token is replaced, unseen, while others have the model; later another goes on where it
        stopped, if the model's profile allows that. Raises `Interrupted`.
        """
        while True:
            stream = request.stream
            assert stream is not None  # noqa: S101 - admit came first
            event = stream.pop() or await stream.next()
            if stream.paused_at is not None:
                self._streams.resume_if_read(stream)
            if isinstance(event, Delta):
                if self._breakers.opened:
                    self._breakers.spoke(request.node, request.asked.version)
                continuation.note(request, event)
            elif isinstance(event, Started):
                if request.continued:
                    continue
                request.route.attempts[-1].started_at = request.began(event)
            elif isinstance(event, Final):
                request.route.attempts[-1].load_ms = event.load_ms
                if self._breakers.opened:
                    self._breakers.succeeded(request.node, request.asked.version)
                if request.suspect:
                    self.later(self._quarantine.cleared(request))
                return continuation.whole(request, event) if request.continued else event
            else:
                instead = await self._replace(request, event)
                if instead is None:
                    continue
                return instead
            return event

    async def _replace(self, request: Request, failure: Failure) -> Final | Failure | None:
        """Have another node run the request, or go on with it: ``None``. Or what ends it."""
        if failure.code == "deadline_exceeded" and request.asked.deadline - time.time() > _EARLY:
            # Whose clock is wrong, or who is out of order: it would answer all at once, and look free for that.
            failure = Failure(
                "unavailable",
                "The node said that the request's time is over, which it is not.",
                503,
                prompt_tokens=failure.prompt_tokens,
                completion_tokens=failure.completion_tokens,
            )
        if failure.code == "engine_hung" and (trouble := await self.trouble_of_redis()):
            # What the engine says does not come through: that is not the engine's fault.
            request.route.attempts[-1].error = "unavailable"
            return Failure("unavailable", f"{_NO_REDIS} {trouble}", 503)
        request.route.attempts[-1].error = failure.code
        if failure.code in _BLAMED or (failure.status >= 500 and failure.code != "deadline_exceeded"):
            self._breakers.failed(request.node, request.asked.version)
        whole = request.inference.delivery != "stream"
        begun = request.spoke and not (whole and request.said is None)
        codes = continuation.CONTINUED_AFTER if begun else _TRY_ELSEWHERE
        again = failure.code in codes and not (begun and request.said is None)
        if failure.code in quarantine.DEADLY and await self._broke_too_many(request):
            again = False
            failure = Failure("engine_failed", "Whatever runs this request breaks; it is not tried again.", 502)
        if request.continued:
            failure = continuation.whole_failure(request, failure)
        if not again or request.attempt.number >= ATTEMPTS:
            return failure
        if begun:
            rest = continuation.continued(request)
            if isinstance(rest, Final):
                return rest
            request.inference = rest
        elif whole:
            request.begin_anew()
        failed = request.node
        self._leave(request)
        self.later(self._admission.withdraw(request.as_it_is(), close=False))
        request.tried.add(failed)
        try:
            await self.admit(request)
        except (errors.Unavailable, errors.Overloaded):
            return failure
        self.router.rule_out(request)
        if begun:
            request.continued += 1
            request.completion_tokens_before = request.completion_tokens
        _log.info(
            "tried_elsewhere", request=request.id, failed=failed, node=request.node, reason=failure.code, begun=begun
        )
        return None

    async def _broke_too_many(self, request: Request) -> bool:
        now = time.monotonic()
        beside = request.stream is not None and self._streams.beside(request.stream)
        # Of those that die together the last one has nobody beside it any more.
        alone = not beside and now - self._deaths.get(request.node, -DEATHS_APART) > DEATHS_APART
        self._deaths[request.node] = now
        try:
            return await self._quarantine.died(request, alone=alone and self.fleet.running(request.node) <= 1)
        except RedisError as error:
            _log.warning("quarantine_not_told", request=request.id, error=str(error))
            return request.deaths >= quarantine.DEATHS

    def _hung(self, request: Request, ticket: str) -> None:
        """The engine has had its time for the first output."""
        stream = request.stream
        if stream is None or stream.ticket != ticket or stream.ended or stream.spoke:
            return
        seconds = request.asked.profile.first_byte_seconds
        stream.end(Failure("engine_hung", f"The engine said nothing for {seconds:g} s.", 504))
        self._streams.cancel(stream)

    def cancel(self, request: Request) -> None:
        """Stop the node's work for a client that left; what it counted still comes."""
        if request.stream is not None and not request.stream.ended:
            self._streams.cancel(request.stream)

    def _leave(self, request: Request) -> None:
        if request.attempt.patience is not None:
            request.attempt.patience.cancel()
        if request.stream is None:
            return
        if self._streams.close(request.attempt.ticket):
            self.fleet.given(request.node, -1)

    def settle(self, request: Request, outcome: Outcome, error: str = "", status: int = 200) -> None:
        """Close the request and queue its usage record; it is written when Redis can be reached."""
        self._known.pop(request.id, None)
        if request.admitted_at is None or not request.node:
            return
        request.end(outcome, error, status)
        self._leave(request)
        self.router.learn(request)
        self.router.note(request)
        self._settlements.add(request)

    def key_used(self, key: str) -> None:
        """Note that a key was used now, also where nothing was asked of a node."""
        self._settlements.key_used(key, time.time())

    def record(self, record: UsageRecord) -> None:
        """Queue the record of a request that no node was given."""
        self._settlements.record(record)

    # -- loops ----------------------------------------------------------------------------------------------------

    async def _listens(self) -> None:
        await self._lease.renew()
        self._ready.set()

    async def _watch(self) -> None:
        """Each second: renew the lease, look after those that wait and those that run."""
        while True:
            await asyncio.sleep(1.0)
            await self._lease.renew()
            try:
                await self._queue.look()
                await self._quarantine.refresh()
                await self._tell_faults()
            except RedisError as error:
                _log.warning("queue_not_looked_after", waiting=len(self._queue), error=str(error))
            self._streams.look()
            self._turn_away()

    def _turn_away(self) -> None:
        """End what runs on nodes that have a taint since, which it does not tolerate and which says so; it goes on elsewhere where it can."""
        for request in list(self._known.values()):
            stream = request.stream
            if stream is None or stream.ended or not request.node:
                continue
            if taint := self.fleet.turned_away(request.wants(), request.node):
                self._streams.cancel(stream)
                stream.end(Failure("unavailable", f"The node turns this request away by its taint '{taint}'.", 503))

    async def _tell_faults(self) -> None:
        """What was wrong with nodes in the last second, for their owners and for who cuts them off. Raises `RedisError`."""
        faults = self._allowances.take_faults()
        if faults:
            await self._commands.do(
                "HSET",
                keys.NODE_FAULTS,
                *(part for node, fault in faults.items() for part in (node, encode_json(fault))),
            )

    async def _watch_nodes(self) -> None:
        """End the streams of nodes that died."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._presence.look()
            except RedisError as error:
                # Nor is anybody heard: `Presence` makes up for it.
                _log.warning("nodes_not_looked_after", error=str(error))
                continue
            self._streams.end_those_of_lost_nodes(self.fleet.alive, self.fleet.may_return, self._has_other)

    def _has_other(self, ticket: str) -> bool:
        """Whether another node could take over what runs under this ticket."""
        request = self._known.get(ticket.rpartition(".")[0])
        return request is not None and self.router.has_other(request)

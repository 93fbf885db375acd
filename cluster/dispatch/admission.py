"""Gives requests to nodes or a place in the queue, and takes them back: the callers of `admit.lua`, `look.lua` and `withdraw.lua`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from cluster.dispatch.request import Level, Request
from cluster.dispatch.script import Arguments, Script, arguments
from cluster.dispatch.spending import refusal, reservations
from cluster.fleet.fleet import Fleet
from cluster.scheduling.fairness import score, work
from cluster.scheduling.load import load_of
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.background import LateWork
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract import OpenRequest, Ticket, decode_open, encode_json, encode_ticket
from ollamamax.kernel import errors
from ollamamax.kernel.limits import Limits

PAUSE = 0.5
LONGEST_WAIT = 600.0
"""The longest time after which a client is told to come back, in seconds."""
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Given:
    node: str


@dataclass(frozen=True, slots=True)
class Waits:
    """It has a place in the queue; ``waiting`` counts all that have one."""

    waiting: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Redis knows nothing of it: what it knew is gone."""


class RateLimited(errors.Overloaded):
    """A limit of the key or the tenant is reached."""

    code = "rate_limit_exceeded"
    levels: tuple[Level, ...] = ()
    """Of all rates that were asked."""


class BudgetSpent(errors.Overloaded):
    """A hard budget that the request counts in has not enough left for it."""

    code = "insufficient_quota"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many requests may wait, of all tenants together and of each, and how many bytes of requests Redis may hold."""

    waiting: int
    waiting_of_tenant: int
    bytes: int = 512 << 20
    bytes_of_tenant: int = 32 << 20

    @staticmethod
    def of(env: Any) -> Bounds:
        return Bounds(
            env["OLLAMAMAX_QUEUE_LENGTH"],
            env["OLLAMAMAX_QUEUE_PER_TENANT"],
            env["OLLAMAMAX_QUEUE_BYTES"],
            env["OLLAMAMAX_QUEUE_BYTES_PER_TENANT"],
        )


class Admission:
    """``gateway`` is this process."""

    def __init__(self, commands: Pipelined, fleet: Fleet, gateway: str, bounds: Bounds, late: LateWork) -> None:
        self._commands = commands
        self._fleet = fleet
        self._gateway = gateway
        self._bounds = bounds
        self._late = late
        self._admit = Script("admit")
        self._look = Script("look")
        self._fill = Script("fill")
        self._withdraw = Script("withdraw")

    async def admit(self, request: Request, nodes: Sequence[str], *, taken: bool = False) -> Given | Waits:
        """Give the request's next attempt to the first of ``nodes`` that has room, or a place in the queue.

        ``taken``: limits were applied to it before. Raises `RateLimited`, `BudgetSpent`, `Overloaded`, `Unavailable` when none of the nodes is
        alive, and `RedisError` when it is not known what happened.
        """
        limits = [] if taken else _limits(request)
        request.attempt.offered.update(dict.fromkeys(nodes))
        payload = self._ticket(request, nodes[0])
        now = time.time()
        reserved = reservations(request, now)
        answer = await self._admit.run(
            self._commands.do,
            arguments(
                {
                    "request": request.id,
                    "ticket": request.attempt.ticket,
                    "tenant": request.asked.tenant,
                    "key": request.asked.key,
                    "gateway": self._gateway,
                    "version": request.asked.version,
                    "open": self._open(request),
                    "traceparent": request.asked.traceparent,
                    "nodes": self._nodes(nodes),
                    # Durations: which clocks other gateways have is not known, and Redis has its own.
                    "age": now - request.asked.received_at,
                    "score": score(request.asked.received_at - now, request.priority, request.asked.allowed),
                    "left": request.asked.deadline - now,
                    "cost": cost(request),
                    "weight": request.asked.weight,
                    "counted": counted(request),
                    "limits": [[what, owner, most, amount] for _, what, owner, most, amount in limits],
                    "budgets": reserved,
                    "idle": request.asked.idle_only,
                    "shadow": request.asked.shadow_of != "",
                    # Where nobody may wait, it has a slot at once or is refused.
                    "most_waiting": 0
                    if request.asked.at_once and request.attempt.number == 1
                    else self._bounds.waiting,
                    "most_waiting_of_tenant": self._bounds.waiting_of_tenant,
                    "most_bytes": self._bounds.bytes,
                    "most_bytes_of_tenant": self._bounds.bytes_of_tenant,
                },
                payload,
            ),
        )
        match answer:
            case [b"given", node, *levels]:
                request.levels = (*_levels(limits, levels), *_budget_levels(request, levels)) or request.levels
                return Given(node.decode())
            case [b"waits", waiting, *levels]:
                request.levels = (*_levels(limits, levels), *_budget_levels(request, levels)) or request.levels
                return Waits(int(waiting))
            case [b"limited", number, seconds, *levels]:
                raise _limited(limits[number - 1], float(seconds), _levels(limits, levels))
            case [b"spent", number, seconds]:
                budget = request.asked.budgets[number - 1]
                raise BudgetSpent(
                    refusal(budget),
                    retry_after=float(seconds),
                    budget=budget.id,
                    unit=budget.unit,
                    period=budget.period,
                )
            case [b"full", waiting, rate]:
                raise errors.Overloaded(
                    f"The queue is full: {waiting} requests of yours wait for a free slot.",
                    retry_after=_pause(float(rate)),
                    waiting=int(waiting),
                )
            case [b"heavy", held, rate]:
                raise errors.Overloaded(
                    f"Too many bytes of requests wait or run, {held} of them yours.", retry_after=_pause(float(rate))
                )
            case [b"busy", _, rate]:
                raise errors.Overloaded("No slot is idle right now.", retry_after=_pause(float(rate)))
        raise errors.Unavailable(f"No node that has the model '{request.asked.model}' is alive.", retry_after=2)

    async def look(self, looks: Sequence[tuple[Request, Sequence[str] | None]]) -> list[Given | Waits | Lost]:
        """What became of requests that wait; each waits for ``nodes`` from now on, where they are given. Raises `RedisError`."""
        calls: list[Arguments] = []
        for request, nodes in looks:
            if nodes is not None:
                request.attempt.offered.update(dict.fromkeys(nodes))
            named: dict[str, Any] = {
                "request": request.id,
                "ticket": request.attempt.ticket,
                "nodes": self._nodes(request.attempt.offered if nodes is None else nodes),
                "moved": nodes is not None,
                "offered": list(request.attempt.offered),
            }
            calls.append(arguments(named))
        found: list[Given | Waits | Lost] = []
        for (request, _), answer in zip(looks, await self._look.run_all(self._commands, calls), strict=True):
            match answer:
                case [b"given", node]:
                    found.append(Given(node.decode()))
                case RedisError():
                    # Of this one only, whatever is wrong with it: it waits on, and the others were looked after.
                    _log.error("look_refused", request=request.id, error=str(answer))
                    found.append(Waits(0))
                case [b"waits"]:
                    found.append(Waits(0))
                case _:
                    found.append(Lost())
        return found

    async def fill(self, nodes: Iterable[str]) -> None:
        """Give free slots of ``nodes`` to those who wait. Raises `RedisError`."""
        await self._fill.run(self._commands.do, arguments({"nodes": self._rooms(nodes)}))

    def fill_later(self, node: str) -> None:
        """Give away a slot that was kept for nothing."""
        self._late.run(self._filled(node))

    async def _filled(self, node: str) -> None:
        try:
            await self.fill([node])
        except RedisError as error:
            _log.warning("kept_slot_waits", node=node, error=str(error))  # `Queue.look` gives it away

    async def withdraw(self, request: Request, *, close: bool) -> None:
        """Take the ticket back from wherever it is; ``close`` forgets the request itself, too.

        Tried until it succeeds: a slot that is not given back is lost until this process ends.
        """
        call = arguments(
            {
                "request": request.id,
                "tenant": request.asked.tenant,
                "ticket": request.attempt.ticket,
                "counted": counted(request),
                "nodes": self._rooms(request.attempt.offered),
                "close": close,
            },
            request.attempt.payload,
        )
        while True:
            try:
                await self._withdraw.run(self._commands.do, call)
            except RedisError as error:
                _log.warning("withdraw_waits", request=request.id, error=str(error))
                await asyncio.sleep(PAUSE)
            else:
                return

    def take_back_later(self, ticket: str, node: str) -> None:
        """Close a request that nobody waits for, whose ticket ``node`` was given; of one that was settled nothing is left."""
        self._late.run(self._take_back(ticket, node))

    async def _take_back(self, ticket: str, node: str) -> None:
        request = ticket.rpartition(".")[0]
        try:
            if not await self._commands.do("SISMEMBER", keys.node_slots(node), ticket):
                return
            opened = await self._commands.do("HGET", keys.OPEN, request)
            known = None if opened is None else decode_open(opened)
            call = {
                "request": request,
                "tenant": "" if known is None else known.tenant,
                "ticket": ticket,
                "counted": [] if known is None else [known.key, known.tenant],
                "nodes": self._rooms([node]),
                "close": True,
            }
            await self._withdraw.run(self._commands.do, arguments(call, b""))
        except RedisError as error:
            _log.warning("ticket_astray", ticket=ticket, node=node, error=str(error))
        else:
            _log.warning("ticket_given_back", request=request, node=node)

    def _nodes(self, nodes: Iterable[str]) -> list[tuple[str, str, int]]:
        return [self._fleet.place(node) for node in nodes]

    def _rooms(self, nodes: Iterable[str]) -> list[tuple[str, int]]:
        return [(node, self._fleet.room(node)) for node in nodes]

    def _ticket(self, request: Request, node: str) -> bytes:
        request.attempt.payload = encode_ticket(
            Ticket(
                id=request.attempt.ticket,
                gateway=self._gateway,
                tenant=request.asked.tenant,
                version=request.asked.version,
                # Nodes find the model by its version; the name is for people who read logs.
                model=self._fleet.engine_name(node, request.asked.version) or request.asked.model,
                deadline=request.asked.deadline,
                left=max(0.0, request.asked.deadline - time.time()),
                traceparent=request.attempt.traceparent or request.asked.traceparent,
                inference=request.inference,
                load=load_of(request.asked.profile),
            )
        )
        return request.attempt.payload

    def _open(self, request: Request) -> str:
        """The open record without its opening brace, and without the node and the time, which the function writes."""
        request.admitted_at = request.admitted_at or time.time()
        opened = OpenRequest(
            request=request.id,
            gateway=self._gateway,
            tenant=request.asked.tenant,
            key=request.asked.key,
            model=request.asked.model,
            version=request.asked.version,
            api=request.asked.api,
            trace=request.asked.trace,
            received_at=request.asked.received_at,
            admitted_at=request.admitted_at,
            attempt=request.attempt.number,
            priority=request.priority,
            idle_only=request.asked.idle_only,
            shadow_of=request.asked.shadow_of,
        )
        return encode_json(opened)[1:].decode()


def cost(request: Request) -> float:
    """The work that one attempt is expected to be."""
    return work(request.expected_prompt_tokens, request.expected_completion_tokens)


def counted(request: Request) -> list[str]:
    """Whose requests are counted, because only so many may be under way at once."""
    asked, owners = request.asked, []
    if asked.key_limits.concurrent is not None:
        owners.append(asked.key)
    if asked.tenant_limits.concurrent is not None:
        owners.append(asked.tenant)
    return owners


_NO_LIMITS = Limits()
_Limit = tuple[str, str, str, int, int]
"""Whose, what, its owner's id, how much at most, and how much this request is."""


def _limits(request: Request) -> list[_Limit]:
    found: list[_Limit] = []
    if request.asked.key_limits == _NO_LIMITS and request.asked.tenant_limits == _NO_LIMITS:
        return found
    prompt, completion = request.expected_prompt_tokens, request.expected_completion_tokens
    for whose, owner, limits in (
        ("API key", request.asked.key, request.asked.key_limits),
        ("tenant", request.asked.tenant, request.asked.tenant_limits),
    ):
        for what, most, amount in (
            ("requests", limits.requests_per_minute, 1),
            ("tokens", limits.tokens_per_minute, prompt + completion),
            ("input-tokens", limits.input_tokens_per_minute, prompt),
            ("output-tokens", limits.output_tokens_per_minute, completion),
            ("concurrent", limits.concurrent, 1),
        ):
            if most is not None:
                found.append((whose, what, owner, most, amount))
    return found


def _levels(limits: list[_Limit], told: list[Any]) -> tuple[Level, ...]:
    """What the function says of those limits that are rates, in their order."""
    if not limits:
        return ()
    levels = []
    told_of = iter(told[0] if told else ())
    for _, what, _, most, _ in limits:
        if what != "concurrent" and (each := next(told_of, None)) is not None:
            levels.append(Level(what, most, int(float(each[0])), float(each[1])))
    return tuple(levels)


_WINDOWS = {"day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}


def _budget_levels(request: Request, told: list[Any]) -> list[Level]:
    """What the function says of the budgets that it took from, in their order; nothing of a request that had taken before."""
    if len(told) < 2 or not told[1]:
        return []
    return [
        Level(
            f"{budget.unit}-{budget.period}",
            int(budget.most),
            int(float(left)),
            float(seconds),
            _WINDOWS[budget.period],
        )
        for budget, (left, seconds) in zip(request.asked.budgets, told[1], strict=True)
        if budget.unit != "money"
    ]


def _limited(limit: _Limit, seconds: float, levels: tuple[Level, ...]) -> RateLimited:
    whose, what, _, most, _ = limit
    unit = "requests at once" if what == "concurrent" else f"{what.replace('-', ' ')} a minute"
    error = RateLimited(f"This {whose} is limited to {most} {unit}.", retry_after=seconds, limit=f"{what}", most=most)
    error.levels = levels
    return error


def _pause(rate: float) -> float:
    """Seconds until a place is free, when ``rate`` requests end in a second."""
    return min(LONGEST_WAIT, 1 / rate) if rate > 0 else 30.0

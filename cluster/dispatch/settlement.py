"""Settles requests: one usage record each, written when Redis can be reached."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from redis.exceptions import RedisError, ResponseError

from cluster.dispatch.admission import cost, counted
from cluster.dispatch.prompts import KINDS, Prompts
from cluster.dispatch.request import Request
from cluster.dispatch.script import Arguments, Script, arguments
from cluster.dispatch.spending import kept_tokens, used
from cluster.dispatch.tally import EndedTally
from cluster.scheduling.costs import cost_of
from cluster.scheduling.fairness import pause, work
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.link import Command
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract import UsageRecord, encode_usage

MOST_WAITING = 100_000
KEPT_SECONDS = 5.0
"""For which what Redis took is kept where another server may take its place that lacks it: replicas follow within milliseconds."""
_BATCH = 200
_JUST_AFTER = 0.002
"""Seconds after which what was to happen at a time of Redis's clock has surely happened there."""
_log = logs.get(__name__)


class Settlements:
    """What this process has settled and not yet written, and when each key was last used.

    ``room`` says how many requests a node takes at once; ``fill`` gives a node's free slots to those who wait: called when a slot was kept for a tenant long enough.
    """

    def __init__(self, commands: Pipelined, room: Callable[[str], int], fill: Callable[[str], None]) -> None:
        self._commands = commands
        self._room = room
        self._fill = fill
        self._settle = Script("settle")
        self._waiting: list[tuple[str, Arguments]] = []
        """Each with its node."""
        self._records: list[tuple[str, bytes]] = []
        """Of requests of which Redis knows nothing, each with its tenant."""
        self._kept: deque[tuple[float, tuple[str, Arguments] | tuple[str, bytes]]] = deque()
        """What Redis took, and when (monotonic)."""
        if commands.may_lose:
            commands.connected_anew.append(self._say_again)
        self.ended = EndedTally()
        self._prompts = Prompts(commands)
        self._some = asyncio.Event()
        self._used_keys: dict[str, float] = {}
        self._writing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._records) + len(self._prompts)

    def add(self, request: Request) -> None:
        """Queue the record of a request that was admitted and has ended."""
        if len(self._waiting) >= MOST_WAITING:
            _log.error("usage_lost", request=request.id, tenant=request.asked.tenant)
            return
        now = time.time()
        record = _record(request, now)
        if request.asked.prompt_key and request.asked.inference.kind in KINDS:
            record.prompt_kept = True
            self._prompts.add(request)
        if not record.shadow_of:
            self.ended.add(record)
        account = arguments(_account(request, now, self._room(request.node)), encode_usage(record))
        self._waiting.append((request.node, account))
        self._used_keys[request.asked.key] = now
        self._some.set()

    def key_used(self, key: str, now: float) -> None:
        """Note when (Unix seconds) a key was used, whatever for; it is told with the next lease."""
        self._used_keys[key] = now

    def record(self, record: UsageRecord) -> None:
        """Queue the record of a request that took nothing which would have to be given back."""
        if len(self._records) >= MOST_WAITING:
            _log.error("usage_lost", request=record.request, tenant=record.tenant)
            return
        self.ended.add(record)
        self._records.append((record.tenant, encode_usage(record)))
        self._some.set()

    def _keep(self, written: Sequence[tuple[str, Arguments] | tuple[str, bytes]]) -> None:
        if not self._commands.may_lose:
            return
        now = time.monotonic()
        self._kept.extend((now, each) for each in written)
        while now - self._kept[0][0] > KEPT_SECONDS:
            self._kept.popleft()

    def _say_again(self) -> None:
        """The server may be another one. What it knows already changes nothing but a second record, which Postgres does not keep."""
        kept, self._kept = self._kept, deque()
        for _, (whose, what) in kept:
            if isinstance(what, bytes):
                self._records.append((whose, what))
            else:
                self._waiting.append((whose, what))
        self._some.set()

    async def run(self) -> None:
        """Write what gathered while the last write was under way; when Redis is away keep it and try again."""
        while True:
            await self._some.wait()
            self._some.clear()
            try:
                await self.flush()
            except RedisError as error:
                _log.warning("settlement_waits", requests=len(self), error=str(error))
                await asyncio.sleep(0.5)
                self._some.set()

    async def flush(self) -> None:
        """Write all that waits. Raises `RedisError`; what was not written still waits."""
        async with self._writing:
            while self._waiting:
                batch = self._waiting[:_BATCH]
                answers = await self._settle.run_all(self._commands, [account for _, account in batch])
                waits = next((each for each in answers if isinstance(each, RedisError) and not _is_final(each)), None)
                if waits is not None:
                    raise waits
                del self._waiting[: len(batch)]
                self._keep(batch)
                for (node, account), seconds in zip(batch, answers, strict=True):
                    if isinstance(seconds, RedisError):
                        await self._put_aside(account, seconds)
                    elif seconds != b"0":
                        asyncio.get_running_loop().call_later(float(seconds) + _JUST_AFTER, self._fill, node)
            while self._records:
                records = self._records[:_BATCH]
                # Done again after a lost answer it leaves a second record with the same id, of which Postgres keeps the first.
                await self._commands.do_all(
                    [command for tenant, record in records for command in _noted(tenant, record)]
                )
                del self._records[: len(records)]
                self._keep(records)
            if len(self._prompts):
                await self._prompts.flush()

    async def _put_aside(self, account: Arguments, error: RedisError) -> None:
        """A request whose settlement Redis refuses for good: the others go on, and its record is kept for a person to look at."""
        _log.error("settlement_refused", error=str(error))
        await self._commands.do("XADD", keys.USAGE_REFUSED, "MAXLEN", "~", 10_000, "*", "r", account[1])

    def take_used_keys(self) -> dict[str, float]:
        """Key id -> Unix seconds of its last use, since the last call."""
        used, self._used_keys = self._used_keys, {}
        return used

    def put_back_used_keys(self, used: dict[str, float]) -> None:
        self._used_keys = used | self._used_keys


def _noted(tenant: str, record: bytes) -> list[Command]:
    """As `settle.lua` notes a record."""
    return [
        ("XADD", keys.USAGE, "*", "r", record),
        ("XADD", keys.recent(tenant), "MAXLEN", "~", 100, "*", "r", record),
    ]


def _is_final(error: RedisError) -> bool:
    """Whether the function itself failed, and would again; not when Redis takes no writes now, or is just starting."""
    return isinstance(error, ResponseError) and str(error).startswith(("WRONGTYPE", "ERR "))


def _account(request: Request, now: float, room: int) -> dict[str, object]:
    """What `settle.lua` corrects: what was charged and taken is what was expected, once for each time a node was given it."""
    more_prompt = request.prompt_tokens - request.expected_prompt_tokens
    more_completion = request.completion_tokens - request.expected_completion_tokens
    return {
        "request": request.id,
        "ticket": request.attempt.ticket,
        "tenant": request.asked.tenant,
        "counted": counted(request),
        "node": request.node,
        "room": room,
        "version": request.asked.version,
        "weight": request.asked.weight,
        "work": work(request.prompt_tokens, request.completion_tokens) - cost(request) * len(request.route.attempts),
        "pause": pause(now - request.given_at) if request.given_at and not request.asked.idle_only else None,
        "used": used(request, now),
        "limits": [
            (what, owner, most, more)
            for owner, limits in (
                (request.asked.key, request.asked.key_limits),
                (request.asked.tenant, request.asked.tenant_limits),
            )
            for what, most, more in (
                ("tokens", limits.tokens_per_minute, more_prompt + more_completion),
                ("input-tokens", limits.input_tokens_per_minute, more_prompt),
                ("output-tokens", limits.output_tokens_per_minute, more_completion),
            )
            if most is not None
        ],
    }


def _record(request: Request, now: float) -> UsageRecord:
    ended = request.ended
    assert ended is not None  # noqa: S101 - it is settled
    cost, currency = cost_of(request.route.attempts, now)
    return UsageRecord(
        request=request.id,
        tenant=request.asked.tenant,
        key=request.asked.key,
        model=request.asked.model,
        version=request.asked.version,
        node=request.node,
        node_name=request.node_name,
        api=request.asked.api,
        trace=request.asked.trace,
        received_at=request.asked.received_at,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=request.completion_tokens,
        queue_ms=_milliseconds(request.admitted_at, request.started_at),
        first_token_ms=_milliseconds(request.asked.received_at, request.first_token_at),
        duration_ms=round((now - request.asked.received_at) * 1000, 3),
        outcome=ended.outcome,
        error=ended.error,
        attempts=request.attempt.number,
        priority=request.priority,
        cost=cost,
        currency=currency,
        user=request.asked.user,
        status=ended.status,
        metadata=request.asked.metadata,
        cached_tokens=kept_tokens(request),
        route=request.route,
        idle_only=request.asked.idle_only,
        shadow_of=request.asked.shadow_of,
        same_answer=request.same_answer,
    )


def _milliseconds(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, end - start) * 1000, 3)

"""Settles requests: one usage record each, written when Redis can be reached."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import redis.asyncio
from redis.exceptions import RedisError

from cluster.dispatch.request import Request
from cluster.dispatch.script import Script
from cluster.wire import Outcome, UsageRecord, encode_json
from ollamamax import logs
from ollamamax.bus import keys

MOST_WAITING = 100_000
_BATCH = 200
_log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class _Settlement:
    request: str
    ticket: str
    tenant: str
    node: str
    record: bytes


class Settlements:
    """What this process has settled and not yet written, and when each key was last used."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._settle = Script("settle")
        self._waiting: list[_Settlement] = []
        self._some = asyncio.Event()
        self._used_keys: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, request: Request, outcome: Outcome, error: str) -> None:
        """Queue the record of an admitted request."""
        if len(self._waiting) >= MOST_WAITING:
            _log.error("usage_lost", request=request.id, tenant=request.tenant)
            return
        now = time.time()
        record = encode_json(_record(request, outcome, error, now))
        self._waiting.append(_Settlement(request.id, request.ticket, request.tenant, request.node, record))
        self._used_keys[request.key] = now
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
        while self._waiting:
            batch = self._waiting[:_BATCH]
            calls = [
                (
                    [keys.OPEN, keys.USAGE, keys.recent(each.tenant), keys.node_slots(each.node)],
                    [each.request, each.ticket, each.record],
                )
                for each in batch
            ]
            await self._settle.run_all(self._client, calls)
            del self._waiting[: len(batch)]

    def take_used_keys(self) -> dict[str, float]:
        """Key id -> Unix seconds of its last use, since the last call."""
        used, self._used_keys = self._used_keys, {}
        return used

    def put_back_used_keys(self, used: dict[str, float]) -> None:
        self._used_keys = used | self._used_keys


def _record(request: Request, outcome: Outcome, error: str, now: float) -> UsageRecord:
    return UsageRecord(
        request=request.id,
        tenant=request.tenant,
        key=request.key,
        model=request.model,
        version=request.version,
        node=request.node,
        node_name=request.node_name,
        api=request.api,
        trace=request.trace,
        received_at=request.received_at,
        prompt_tokens=request.prompt_tokens,
        completion_tokens=request.completion_tokens,
        queue_ms=_milliseconds(request.admitted_at, request.started_at),
        first_token_ms=_milliseconds(request.received_at, request.first_token_at),
        duration_ms=round((now - request.received_at) * 1000, 3),
        outcome=outcome,
        error=error,
        attempts=request.attempt,
    )


def _milliseconds(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(max(0.0, end - start) * 1000, 3)

"""The lease of a gateway process: by it others know that it is alive, and with it goes what it has counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from cluster.dispatch.gateway_liveness import LEASE_MS
from cluster.dispatch.settlement import Settlements
from ollamamax import logs
from ollamamax.bus import clock, keys
from ollamamax.observability import redis_round_trip

TIME_TAKES = 0.5
"""Seconds within which Redis must have told its clock for that to say anything of ours."""
_log = logs.get(__name__)


class Gathers(Protocol):
    """What is counted here until it is written with the lease."""

    def take(self) -> Any: ...

    def put_back(self, taken: Any) -> None: ...

    def write(self, pipe: Pipeline, taken: Any) -> None: ...


class Lease:
    """``gateway`` is this process."""

    def __init__(
        self, client: redis.asyncio.Redis, gateway: str, settlements: Settlements, tallies: Sequence[Gathers]
    ) -> None:
        self._client = client
        self._gateway = gateway
        self._settlements = settlements
        self._tallies = tallies

    async def renew(self) -> None:
        used = self._settlements.take_used_keys()
        counted = [tally.take() for tally in self._tallies]
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.sadd(keys.GATEWAYS, self._gateway)
                pipe.set(keys.gateway_alive(self._gateway), b"1", px=LEASE_MS)
                if used:
                    pipe.hset(keys.KEYS_USED, mapping={key: str(at) for key, at in used.items()})
                for tally, taken in zip(self._tallies, counted, strict=True):
                    tally.write(pipe, taken)
                pipe.time()
                before, asked = time.time(), time.monotonic()
                *_, told = await pipe.execute()
                took = time.monotonic() - asked
                redis_round_trip.answered(took)
            if took < TIME_TAKES:
                clock.compare(before + took / 2, told)
        except RedisError as error:
            for tally, taken in zip(self._tallies, counted, strict=True):
                tally.put_back(taken)
            self._settlements.put_back_used_keys(used)
            redis_round_trip.failed()
            _log.warning("lease_not_renewed", error=str(error))

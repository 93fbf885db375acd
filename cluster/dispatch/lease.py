"""The lease of a gateway process: by it others know that it is alive, and with it goes what it has counted."""

from __future__ import annotations

import time

import redis.asyncio
from redis.exceptions import RedisError

from cluster.dispatch.gateway_liveness import LEASE_MS
from cluster.dispatch.reloads import ReloadsAvoided, write
from cluster.dispatch.settlement import Settlements
from ollamamax import logs
from ollamamax.bus import clock, keys

TIME_TAKES = 0.5
"""Seconds within which Redis must have told its clock for that to say anything of ours."""
_log = logs.get(__name__)


class Lease:
    """``gateway`` is this process."""

    def __init__(
        self, client: redis.asyncio.Redis, gateway: str, settlements: Settlements, reloads_avoided: ReloadsAvoided
    ) -> None:
        self._client = client
        self._gateway = gateway
        self._settlements = settlements
        self._reloads_avoided = reloads_avoided

    async def renew(self) -> None:
        used = self._settlements.take_used_keys()
        avoided = self._reloads_avoided.take()
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.sadd(keys.GATEWAYS, self._gateway)
                pipe.set(keys.gateway_alive(self._gateway), b"1", px=LEASE_MS)
                if used:
                    pipe.hset(keys.KEYS_USED, mapping={key: str(at) for key, at in used.items()})
                write(pipe, avoided)
                pipe.time()
                before, asked = time.time(), time.monotonic()
                *_, told = await pipe.execute()
                took = time.monotonic() - asked
            if took < TIME_TAKES:
                clock.compare(before + took / 2, told)
        except RedisError as error:
            self._reloads_avoided.put_back(avoided)
            self._settlements.put_back_used_keys(used)
            _log.warning("lease_not_renewed", error=str(error))

"""The lease of a gateway process: how the process keeps it, writing with it what it has counted, and how the control plane tells by it which
gateways are gone for certain, killed within seconds and out of reach after longer. No Django."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import redis
import redis.asyncio
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from cluster.dispatch.settlement import Settlements
from ollamamax import logs
from ollamamax.bus import clock, keys
from ollamamax.observability import redis_round_trip

LOOKED_AT_MS = 3000
"""Without a look for so long, Redis may have stood still, and its clock gone on."""
LEASE_MS = 5000
"""A gateway's lease; it renews it each second, and as soon as it listens (again)."""
TIME_TAKES = 0.5
"""Seconds within which Redis must have told its clock for that to say anything of ours."""
_log = logs.get(__name__)


class Gathers(Protocol):
    """What is counted here until it is written with the lease."""

    def take(self) -> Any: ...

    def put_back(self, taken: Any) -> None: ...

    def write(self, pipe: Pipeline, taken: Any) -> None: ...


class Lease:
    """Says each second that the process ``gateway`` is alive, and writes with that what its ``tallies`` have counted."""

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


@dataclass(frozen=True)
class Patience:
    """Seconds.

    ``silent``: since the lease was renewed, when nobody listens for the gateway either. ``apart``: from the look that finds it so
    to the one that believes it. ``lapsed``: without any lease, though somebody seems to listen. ``calm``: since Redis started.
    """

    silent: float = 1.5
    apart: float = 0.9
    lapsed: float = 5.0
    calm: float = 10.0


def departed(client: redis.Redis, patience: Patience) -> set[str]:
    """The gateways that are dead; a look a second is wanted. Raises `RedisError`.

    The connections of a process that is killed close with it, so nobody listens on its channel any more. One that is frozen, or cut
    off by a network that drops its packets, keeps them as far as Redis knows: only its lease tells, with more patience.
    One that lost its connections makes them anew within a tenth of a second, and renews its lease then. After a restart of Redis all are
    gone at once, so nobody is judged for a while; and what was found on another server (a replica that took over) counts for nothing.
    """
    gateways = sorted(gateway.decode() for gateway in cast("set[bytes]", client.smembers(keys.GATEWAYS)))
    if not gateways:
        return set()
    with client.pipeline(transaction=False) as pipe:
        pipe.info("server")
        pipe.time()
        pipe.set(keys.GATEWAYS_LOOKED_AT, b"1", px=LOOKED_AT_MS, get=True)
        pipe.pubsub_numsub(*(keys.granted(gateway) for gateway in gateways))
        for gateway in gateways:
            pipe.pttl(keys.gateway_alive(gateway))
            pipe.get(keys.gateway_missed(gateway))
        server, (seconds, micros), looked, listening, *each = pipe.execute()
    if server["uptime_in_seconds"] < patience.calm:
        return set()
    now, run = seconds + micros / 1e6, str(server["run_id"])
    gone: set[str] = set()
    with client.pipeline(transaction=False) as pipe:
        for gateway, (_, listeners), left, note in zip(gateways, listening, each[::2], each[1::2], strict=True):
            silent = _silent(left)
            closed = not listeners and silent >= patience.silent
            if not closed and silent < math.inf:
                if note is not None:
                    pipe.delete(keys.gateway_missed(gateway))
                continue
            # Where nobody could look for a while, maybe nobody could renew a lease either: what was noted then is void.
            since = None if looked is None else _since(note, run)
            if since is None:
                since = now
                pipe.set(keys.gateway_missed(gateway), f"{run} {now!r}", ex=3600)
            if now - since >= (patience.apart if closed else patience.lapsed):
                gone.add(gateway)
        pipe.execute()
    return gone


def forget(client: redis.Redis, gateways: Sequence[str]) -> None:
    """Nothing of them is left. One that lives after all says so within a second."""
    with client.pipeline(transaction=False) as pipe:
        for gateway in gateways:
            pipe.srem(keys.GATEWAYS, gateway)
            pipe.delete(keys.gateway_alive(gateway), keys.gateway_missed(gateway))
        pipe.execute()


def _silent(left: int) -> float:
    """Seconds since the lease was renewed, of the milliseconds that are left of it."""
    if left == -2:  # there is none
        return math.inf
    return max(0.0, (LEASE_MS - left) / 1000) if left >= 0 else 0.0


def _since(note: Any, run: str) -> float | None:
    """When the gateway was first missed on this run of the server."""
    if note is None:
        return None
    noted, _, since = note.decode().partition(" ")
    return float(since) if noted == run else None

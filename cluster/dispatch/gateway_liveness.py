"""Which gateways are gone for certain: killed within seconds, out of reach after longer. No Django."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from ollamamax.bus import keys

LOOKED_AT_MS = 3000
"""Without a look for so long, Redis may have stood still, and its clock gone on."""
LEASE_MS = 5000
"""A gateway's lease; it renews it each second, and as soon as it listens (again)."""


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

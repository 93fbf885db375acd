"""Requests that break what runs them: stopped after two nodes, and kept out when they come again.

A request is known by the hash of what it asks of which version. Others that were under way on the same node died with it and are
not to blame, so one that was not alone is only suspected: when it comes again it gets one try, which clears or convicts it.
"""

from __future__ import annotations

import hashlib

import redis.asyncio

from cluster.dispatch.request import Request
from ollamamax.bus import clock, keys
from ollamamax.contract import encode_ticket
from ollamamax.kernel.errors import OllamaMaxError

DEATHS = 2
"""Nodes or engines that a request may break."""
DEADLY = frozenset({"node_lost", "node_restarted", "engine_crashed"})
CONVICTED_SECONDS = 3600.0
SUSPECTED_SECONDS = 600.0


class Quarantined(OllamaMaxError):
    """The same request broke several nodes a while ago."""

    code = "quarantined"
    status = 422


class Quarantine:
    """This process's copy of what all gateways know, refreshed once a second."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._convicted: dict[str, float] = {}
        self._suspected: dict[str, float] = {}

    async def refresh(self) -> None:
        """Raises `RedisError`."""
        now = clock.now()
        async with self._client.pipeline(transaction=False) as pipe:
            for name in (keys.QUARANTINED, keys.SUSPECTED):
                pipe.zremrangebyscore(name, "-inf", now)
                pipe.zrange(name, 0, -1, withscores=True)
            _, convicted, _, suspected = await pipe.execute()
        self._convicted = {name.decode(): until for name, until in convicted}
        self._suspected = {name.decode(): until for name, until in suspected}

    def admit(self, request: Request) -> None:
        """Raises `Quarantined`. A suspect is let in, for one try."""
        if not self._convicted and not self._suspected:
            return
        name = _name(request)
        until = self._convicted.get(name, 0.0)
        if until > clock.now():
            raise Quarantined(
                "This request broke the nodes that ran it before, so it is not run again for a while.",
                retry_after=until - clock.now(),
            )
        if self._suspected.get(name, 0.0) > clock.now():
            request.suspect = name

    async def died(self, request: Request, *, alone: bool) -> bool:
        """What ran the request died. Whether that is enough. Raises `RedisError`."""
        request.deaths += 1
        request.died_alone |= alone
        if request.deaths < DEATHS and not request.suspect:
            return False
        name = request.suspect or _name(request)
        now = clock.now()
        if request.died_alone or request.suspect:
            self._convicted[name] = now + CONVICTED_SECONDS
            await self._client.zadd(keys.QUARANTINED, {name: now + CONVICTED_SECONDS})
        else:
            self._suspected[name] = now + SUSPECTED_SECONDS
            await self._client.zadd(keys.SUSPECTED, {name: now + SUSPECTED_SECONDS})
        return True

    async def cleared(self, request: Request) -> None:
        """A suspect was answered. Raises `RedisError`."""
        self._suspected.pop(request.suspect, None)
        await self._client.zrem(keys.SUSPECTED, request.suspect)


def _name(request: Request) -> str:
    what = hashlib.blake2b(encode_ticket(request.inference), digest_size=16, key=request.asked.version[:64].encode())
    return f"{request.asked.tenant}:{what.hexdigest()}"

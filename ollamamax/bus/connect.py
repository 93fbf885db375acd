"""Redis connections. Nothing here knows Django: the gateway and the nodes use it too."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

CONNECTIONS = 1000
"""Of one asynchronous client: one for each command under way. redis-py's own 100 are too few when all streams of a node that
died are admitted again at once; a pool that makes commands wait instead costs each of them 30 microseconds."""


def connect(url: str) -> redis.Redis:
    """A pooled synchronous client; one quick retry after a broken connection."""
    return redis.Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=3, retry=Retry(ExponentialBackoff(cap=0.1), 1)
    )


MOST_CONNECTIONS = 64
"""Of one asynchronous client; a command that finds none free waits for one."""


class WaitingPool(redis.asyncio.ConnectionPool):  # type: ignore[misc]
    """redis-py's own pool refuses the command that finds no connection free; its blocking one costs 30 µs a command more."""

    def __init__(self, *, max_connections: int = MOST_CONNECTIONS, **options: Any) -> None:
        super().__init__(max_connections=max_connections, **options)
        self._free = asyncio.Semaphore(max_connections)
        self._held: set[int] = set()

    async def get_connection(self, *arguments: Any, **options: Any) -> Any:
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        try:
            connection = await super().get_connection(*arguments, **options)
        except BaseException:
            self._free.release()
            raise
        self._held.add(id(connection))
        return connection

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(5):
                await self._free.acquire()
        except TimeoutError:
            raise redis.exceptions.ConnectionError("No connection became free.") from None

    async def release(self, connection: Any) -> None:
        # It also releases connections that it could not establish, which nobody got.
        held = id(connection) in self._held
        self._held.discard(id(connection))
        try:
            await super().release(connection)
        finally:
            if held:
                self._free.release()


def connect_async(url: str, *, blocking: bool = False) -> redis.asyncio.Redis:
    """A pooled asynchronous client. ``blocking`` is for one that waits in BLMOVE or pub/sub: no read time-out."""
    pool = WaitingPool.from_url(
        url,
        socket_timeout=None if blocking else 5,
        socket_connect_timeout=3,
        health_check_interval=0,
        retry=AsyncRetry(ExponentialBackoff(cap=0.1), 1),
        max_connections=CONNECTIONS,
    )
    return redis.asyncio.Redis.from_pool(pool)


def broker_url(url: str) -> str:
    """A Redis address as Celery's transport takes it.

    Left alone, it does not check the certificate of a ``rediss://`` address, and does not know ``unix://``.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "rediss":
        return urlunsplit(parts._replace(query=urlencode({"ssl_cert_reqs": "required"} | query)))
    if parts.scheme == "unix":
        database = query.pop("db", "0")
        return urlunsplit(parts._replace(scheme="redis+socket", query=urlencode(query | {"virtual_host": database})))
    return url

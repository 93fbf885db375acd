"""Redis connections. Nothing here knows Django: the gateway and the nodes use it too."""

from __future__ import annotations

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry


def connect(url: str) -> redis.Redis:
    """A pooled synchronous client; one quick retry after a broken connection."""
    return redis.Redis.from_url(
        url, socket_timeout=5, socket_connect_timeout=3, retry=Retry(ExponentialBackoff(cap=0.1), 1)
    )


def connect_async(url: str, *, blocking: bool = False) -> redis.asyncio.Redis:
    """A pooled asynchronous client. ``blocking`` is for one that waits in BLMOVE or pub/sub: no read time-out."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=None if blocking else 5,
        socket_connect_timeout=3,
        health_check_interval=0,
        retry=AsyncRetry(ExponentialBackoff(cap=0.1), 1),
    )

"""Redis connections. Nothing here knows Django: the gateway and the nodes use it too."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import redis.asyncio
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


def connect_async(url: str) -> redis.asyncio.Redis:
    """A pooled asynchronous client. Who waits for what others publish takes a `Subscription`."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=5,
        socket_connect_timeout=3,
        health_check_interval=0,
        retry=AsyncRetry(ExponentialBackoff(cap=0.1), 1),
        max_connections=CONNECTIONS,
    )


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


def elsewhere(url: str, place: str) -> str:
    """The user and password of ``url``, at the address of ``place``."""
    credentials, address = urlsplit(url).netloc.rpartition("@")[0], urlsplit(place)
    return urlunsplit(address._replace(netloc=f"{credentials}@{address.netloc.rpartition('@')[2]}"))

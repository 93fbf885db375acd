"""Redis connections. Nothing here knows Django: the gateway and the nodes use it too."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from ollamamax.bus import sentinels
from ollamamax.bus.link import primary_of
from ollamamax.bus.sentinels import NoPrimary, Sentinels, check_role

CONNECTIONS = 1000
"""Of one asynchronous client: one for each command under way. redis-py's own 100 are too few when all streams of a node that
died are admitted again at once; a pool that makes commands wait instead costs each of them 30 microseconds."""


def connect(url: str) -> redis.Redis:
    """A pooled synchronous client; one quick retry after a broken connection."""
    usual: dict[str, Any] = {
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "retry": Retry(ExponentialBackoff(cap=0.1), 1),
    }
    if not sentinels.named(url):
        return redis.Redis.from_url(url, **usual)
    return redis.Redis.from_pool(redis.ConnectionPool(**usual | primary_options(url)))


class _OfPrimary:
    """A connection to the primary of ``primary``, whose role it asks for when it connects; one that has become a replica ends."""

    def __init__(self, *, primary: Sentinels, **options: Any) -> None:
        self._sentinels = primary
        super().__init__(**options)

    def _connect(self) -> Any:
        self.host, self.port = self._sentinels.primary()
        try:
            return super()._connect()  # type: ignore[misc]
        except OSError:
            self._sentinels.forget()
            raise

    def on_connect_check_health(self, check_health: bool = True) -> None:
        super().on_connect_check_health(check_health=check_health)  # type: ignore[misc]
        self.send_command("HELLO", check_health=False)  # type: ignore[attr-defined]
        try:
            check_role(self.read_response())
        except NoPrimary:
            self._sentinels.forget()
            raise

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except redis.ReadOnlyError:
            self._sentinels.forget()
            self.disconnect()  # type: ignore[attr-defined]
            raise NoPrimary("The server has become a replica.") from None


class PrimaryConnection(_OfPrimary, redis.Connection):  # type: ignore[misc]
    """To what Sentinels name, by ``redis+sentinel://``."""


class PrimaryTLSConnection(_OfPrimary, redis.SSLConnection):  # type: ignore[misc]
    """To what Sentinels name, by ``rediss+sentinel://``."""


def primary_options(url: str) -> dict[str, Any]:
    """What a synchronous pool takes for the connections to the primary that the Sentinels of ``url`` name."""
    which = sentinels.of(url)
    is_tls = "connection_class" in which.options
    return which.options | {
        "connection_class": PrimaryTLSConnection if is_tls else PrimaryConnection,
        "primary": which,
    }


class _Cancellable(AbstractConnection):  # type: ignore[misc]
    """Sends under `asyncio.timeout`. redis-py's `asyncio.wait_for`, on Python 3.11, swallows a cancellation that comes in the turn
    of the loop in which the command went out."""

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()
        if isinstance(command, str):
            command = command.encode()
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._send_packed_command([command] if isinstance(command, bytes) else command)
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise redis.TimeoutError("Timeout writing to socket") from None
        except OSError as error:
            await self.disconnect(nowait=True)
            raise redis.ConnectionError(f"Error while writing to socket: {error}.") from error
        except BaseException:
            # Half a command may have gone out: what came after it would be read as its end.
            await self.disconnect(nowait=True)
            raise


class PlainConnection(_Cancellable, redis.asyncio.Connection):  # type: ignore[misc]
    """To ``redis://``."""


class TLSConnection(_Cancellable, redis.asyncio.SSLConnection):  # type: ignore[misc]
    """To ``rediss://``."""


class SocketConnection(_Cancellable, redis.asyncio.UnixDomainSocketConnection):  # type: ignore[misc]
    """To ``unix://``."""


class _OfPrimaryAsync:
    """As `_OfPrimary`, in an event loop."""

    def __init__(self, *, primary: Sentinels, **options: Any) -> None:
        self._sentinels = primary
        super().__init__(**options)

    async def _connect(self) -> None:
        self.host, self.port = await primary_of(self._sentinels)
        try:
            await super()._connect()  # type: ignore[misc]
        except OSError:
            self._sentinels.forget()
            raise

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health=check_health)  # type: ignore[misc]
        await self.send_command("HELLO", check_health=False)  # type: ignore[attr-defined]
        try:
            check_role(await self.read_response())
        except NoPrimary:
            self._sentinels.forget()
            raise

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)  # type: ignore[misc]
        except redis.ReadOnlyError:
            self._sentinels.forget()
            await self.disconnect(nowait=True)  # type: ignore[attr-defined]
            raise NoPrimary("The server has become a replica.") from None


class PrimaryAsyncConnection(_OfPrimaryAsync, PlainConnection):
    """To what Sentinels name, by ``redis+sentinel://``."""


class PrimaryAsyncTLSConnection(_OfPrimaryAsync, TLSConnection):
    """To what Sentinels name, by ``rediss+sentinel://``."""


_KINDS: dict[type[AbstractConnection], type[AbstractConnection]] = {
    redis.asyncio.Connection: PlainConnection,
    redis.asyncio.SSLConnection: TLSConnection,
    redis.asyncio.UnixDomainSocketConnection: SocketConnection,
}


def pool_options(url: str) -> dict[str, Any]:
    """What an asynchronous pool takes for the connections to ``url``."""
    if sentinels.named(url):
        which = sentinels.of(url)
        is_tls = "connection_class" in which.options
        return which.options | {
            "connection_class": PrimaryAsyncTLSConnection if is_tls else PrimaryAsyncConnection,
            "primary": which,
        }
    options: dict[str, Any] = dict(parse_url(url))
    return options | {"connection_class": _KINDS[options.get("connection_class", redis.asyncio.Connection)]}


def connect_async(url: str) -> redis.asyncio.Redis:
    """A pooled asynchronous client. Who waits for what others publish takes a `Subscription`."""
    options: dict[str, Any] = {
        "socket_timeout": 5,
        "socket_connect_timeout": 3,
        "health_check_interval": 0,
        "retry": AsyncRetry(ExponentialBackoff(cap=0.1), 1),
        "max_connections": CONNECTIONS,
    }
    return redis.asyncio.Redis.from_pool(redis.asyncio.ConnectionPool(**options | pool_options(url)))


def database_of(url: str) -> int:
    """The number of the database that the address names."""
    options = sentinels.of(url).options if sentinels.named(url) else parse_url(url)
    return int(options.get("db") or 0)


def elsewhere(url: str, place: str) -> str:
    """The user and password of ``url``, at the address of ``place``."""
    credentials, address = urlsplit(url).netloc.rpartition("@")[0], urlsplit(place)
    return urlunsplit(address._replace(netloc=f"{credentials}@{address.netloc.rpartition('@')[2]}"))

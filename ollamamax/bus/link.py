"""One connection to Redis on which commands are written at once and answered in their order.

For the ways that every request takes. redis-py takes a connection from its pool and makes a dozen calls for each command;
its addresses, certificates and errors are used here. The protocol is RESP2
(https://redis.io/docs/latest/develop/reference/protocol-spec/), read and written by hiredis.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
import msgspec
import redis
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import parse_url
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as Broken

from ollamamax.bus import sentinels
from ollamamax.bus.sentinels import Place, Sentinels, ToldPrimary

__all__ = ["ANSWER_SECONDS", "Broken", "Command", "Link", "opened", "pack"]

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
"""After so long without an answer the connection counts as broken."""
_KINDS: dict[str, type[RedisError]] = {
    "LOADING": BusyLoadingError,
    "NOAUTH": AuthenticationError,
    "NOPERM": NoPermissionError,
    "NOSCRIPT": NoScriptError,
    "READONLY": ReadOnlyError,
    "WRONGPASS": AuthenticationError,
}

_ASYNC_KINDS: dict[type[Any], type[Any]] = {
    each: each for each in (Connection, SSLConnection, UnixDomainSocketConnection)
} | {
    redis.Connection: Connection,
    redis.SSLConnection: SSLConnection,
    redis.UnixDomainSocketConnection: UnixDomainSocketConnection,
}

Command = tuple[bytes | str | int | float, ...]
pack = cast("Callable[[Command], bytes]", hiredis.pack_command)
"""Its own types tell of commands of one word only."""


async def opened(url: str, *, most: int = 0) -> Link:
    """A connection that is logged in; it breaks when one answer has more than ``most`` bytes, unless that is 0. Raises `RedisError`."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await _connected(url, most)
    except OSError as error:  # which a time-out is, too
        raise Broken(f"Redis cannot be reached: {error.strerror or 'no answer in time'}.") from error


async def asked(which: Sentinels, place: Place) -> ToldPrimary:
    """What one Sentinel says. Raises `RedisError`, `OSError`."""
    link = await _connected_to(which.options_of(place), 0)
    try:
        return sentinels.told(await link.send(pack(("SENTINEL", "MASTER", which.service)), None))
    finally:
        link.close()


async def primary_of(which: Sentinels) -> Place:
    """Where the primary is. Raises `RedisError`."""
    return await which.find(functools.partial(asked, which))


async def _connected(url: str, most: int) -> Link:
    if not sentinels.named(url):
        return await _connected_to(dict(parse_url(url)), most)
    which = sentinels.of(url)
    host, port = await primary_of(which)
    try:
        link = await _connected_to(which.options | {"host": host, "port": port}, most)
        try:
            sentinels.check_role(await link.send(pack(("HELLO",)), None))
        except BaseException:
            link.close()
            raise
    except BaseException:
        which.forget()
        raise
    return link


async def _connected_to(known: dict[str, Any], most: int) -> Link:
    """``known``: as redis-py's `parse_url` gives it."""
    known = dict(known)
    kind = _ASYNC_KINDS[known.pop("connection_class", redis.Connection)]
    where = kind(**known)
    loop = asyncio.get_running_loop()
    make = functools.partial(BoundedLink, most) if most else Link
    link: Link

    if isinstance(where, UnixDomainSocketConnection):
        _, link = await loop.create_unix_connection(make, where.path)
    elif isinstance(where, SSLConnection):
        _, link = await loop.create_connection(make, where.host, where.port, ssl=where.ssl_context.get())
    else:
        _, link = await loop.create_connection(make, where.host, where.port)
    login: list[Command] = []
    if where.password:
        login.append(("AUTH", where.username or "default", where.password))
    if where.db:
        login.append(("SELECT", where.db))
    try:
        for command in login:
            await link.send(pack(command), None)
    except BaseException:
        link.close()
        raise
    return link


class _Waiting(msgspec.Struct, eq=False):
    """Who waits for the next answer, or for so many (``wanted``) together."""

    future: asyncio.Future[Any]
    wanted: int | None
    since: float
    answers: list[Any] = []


class Link(asyncio.Protocol):
    """One connection. ``broken`` once it takes no more commands."""

    def __init__(self) -> None:
        self.broken = False
        self.told: Callable[[Any], bool] | None = None
        """Takes what is no answer; ``None`` when the connection is broken."""
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=_error)
        self._waiting: deque[_Waiting] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] | None = None
        """What gathers until the end of a turn of the loop in which something was written already."""
        self._transport: asyncio.Transport

    def send(self, packed: bytes, wanted: int | None) -> asyncio.Future[Any]:
        """``wanted``: how many commands these are, whose answers come as a list; ``None`` for one by itself.

        A caller that is cancelled leaves its place: its answer is dropped when it comes.
        """
        future = self._loop.create_future()
        if self.broken:
            future.set_exception(Broken("The connection to Redis is closed."))
            return future
        self._waiting.append(_Waiting(future, wanted, self._loop.time()))
        if self._unsent is None:
            self._unsent = []
            self._transport.write(packed)
            self._loop.call_soon(self._flush)
        else:
            self._unsent.append(packed)
        if self._watch is None:
            self._watch = self._loop.call_later(ANSWER_SECONDS, self._look)
        return future

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, None
        if unsent and not self.broken:
            self._transport.write(b"".join(unsent))

    def close(self) -> None:
        """What was sent still goes out, unanswered."""
        self._flush()
        self._fail(Broken("The connection to Redis was closed."))
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(Broken(f"The connection to Redis broke: {exc or 'it was closed'}."))

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while not self.broken and (answer := self._reader.gets()) is not False:
            if self.told is None or not self.told(answer):
                self._answer(answer)

    def _answer(self, answer: Any) -> None:
        if isinstance(answer, ReadOnlyError):
            # The server was the primary once. It did nothing, and a new connection leads to its successor.
            self._fail(Broken("The server has become a replica."))
            self._transport.abort()
            return
        first = self._waiting[0]
        if first.wanted is not None:
            first.answers.append(answer)
            if len(first.answers) < first.wanted:
                return
            answer = first.answers
        self._waiting.popleft()
        if first.future.done():
            return
        if isinstance(answer, RedisError):
            first.future.set_exception(answer)
        else:
            first.future.set_result(answer)

    def _look(self) -> None:
        """Whether the oldest command has waited for too long."""
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0].since + ANSWER_SECONDS - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._fail(Broken("Redis did not answer in time."))
            self._transport.abort()

    def _fail(self, error: Broken) -> None:
        self.broken = True
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(error)
        if self.told is not None:
            self.told(None)


class BoundedLink(Link):
    """Breaks as soon as more than ``most`` bytes came of what is no whole answer yet: whoever publishes decides how long that gets."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._unread = 0

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._reader.has_data():
            if self._unread > self._most:
                self._fail(Broken("A message is longer than is read."))
                self._transport.abort()
        else:
            self._unread = 0


def _error(text: str) -> RedisError:
    kind, _, message = text.partition(" ")
    return _KINDS.get(kind, ResponseError)(message if kind in _KINDS else text)

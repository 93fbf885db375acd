"""Which server is the primary now, by what Sentinels say (https://redis.io/docs/latest/develop/reference/sentinel-clients/).

An address that names Sentinels is ``redis+sentinel://user:password@s1:26379,s2:26379,s3:26379/SERVICE/DATABASE``, or ``rediss+sentinel://``
for TLS to the Sentinels and to the servers; user and password are the servers', ``sentinel_username`` and ``sentinel_password`` in its query
the Sentinels' own, and ``ssl_...`` in its query is as redis-py takes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from ollamamax.kernel.tasks import end

SCHEMES = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
PORT = 26379
ASK_SECONDS = 1.0
"""For which one Sentinel is waited for."""
KNOWN_SECONDS = 1.0
"""For which an answer is used again: hundreds of connections are made anew at once. A server that refuses ends that at once."""
_SENTINELS_OWN = ("sentinel_username", "sentinel_password")

Place = tuple[str, int]
Ask = Callable[[Place], Awaitable["ToldPrimary"]]


class NoPrimary(redis.ConnectionError):  # type: ignore[misc]
    """No Sentinel names a primary, or the server that they name is none."""


@dataclass(frozen=True)
class ToldPrimary:
    """A Sentinel's word. ``epoch`` is higher for each primary that came after another one."""

    place: Place
    epoch: int


def named(url: str) -> bool:
    """Whether the address names Sentinels."""
    return urlsplit(url).scheme in SCHEMES


def without_their_password(url: str) -> str:
    """The address without the user and password of Sentinels."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in _SENTINELS_OWN]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def passwords(url: str) -> set[str]:
    """Those that the address holds, as they stand there; empty for what is no address."""
    try:
        parts = urlsplit(url)
        found = {parts.password or "", dict(parse_qsl(parts.query)).get("sentinel_password", "")}
    except ValueError:
        return set()
    return found - {""}


@functools.cache
def of(url: str) -> Sentinels:
    """Those that the address names; one object for each address. Raises `ValueError`."""
    parts = urlsplit(url)
    service, _, database = parts.path.strip("/").partition("/")
    if not service or not (database or "0").isdecimal():
        raise ValueError("the path of the address of Sentinels is /SERVICE or /SERVICE/DATABASE")
    credentials, at, listed = parts.netloc.rpartition("@")
    places = tuple(_place(each) for each in listed.split(","))
    query = dict(parse_qsl(parts.query))
    own = {name.removeprefix("sentinel_"): query.pop(name) for name in _SENTINELS_OWN if name in query}
    # As the address of a server, whose place is set when it is known.
    plain = (SCHEMES[parts.scheme], f"{credentials}{at}primary", f"/{database or 0}", urlencode(query), "")
    options = dict(parse_url(urlunsplit(plain)))
    options.pop("host", None)
    return Sentinels(places, unquote(service), options, own)


def _place(text: str) -> Place:
    parts = urlsplit(f"//{text.strip()}")
    if not parts.hostname:
        raise ValueError("an address of Sentinels lists HOST:PORT, separated by commas")
    return parts.hostname, parts.port or PORT


@dataclass(eq=False)
class Sentinels:
    """``options``: of connections to the servers, as redis-py takes them, without host and port; ``own``: user and password of the Sentinels."""

    places: tuple[Place, ...]
    service: str
    options: dict[str, Any]
    own: dict[str, str]
    _known: tuple[Place, float] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asking: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Place]] = field(
        default_factory=weakref.WeakKeyDictionary
    )

    @property
    def majority(self) -> int:
        return len(self.places) // 2 + 1

    def options_of(self, place: Place) -> dict[str, Any]:
        """Of a connection to a Sentinel: TLS as to the servers, user and password of its own."""
        shared = {name: value for name, value in self.options.items() if name.startswith(("ssl_", "connection_class"))}
        return shared | self.own | {"host": place[0], "port": place[1]}

    def forget(self) -> None:
        """What was told last is wrong: who looks for the primary next asks anew."""
        self._known = None

    def primary(self) -> Place:
        """Ask one after the other, until a majority has answered. Raises `NoPrimary`."""
        if (known := self._remembered()) is not None:
            return known
        with self._lock:
            if (known := self._remembered()) is not None:
                return known
            told: list[ToldPrimary] = []
            for place in self.places:
                with contextlib.suppress(redis.RedisError, OSError):
                    told.append(self.ask(place))
                if len(told) == self.majority:
                    break
            return self._chosen(told)

    def ask(self, place: Place) -> ToldPrimary:
        """What this Sentinel says. Raises `RedisError`."""
        options = self.options_of(place)
        kind = options.pop("connection_class", redis.Connection)
        connection = kind(
            **options,
            protocol=2,
            socket_timeout=ASK_SECONDS,
            socket_connect_timeout=ASK_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            connection.connect()
            connection.send_command("SENTINEL", "MASTER", self.service)
            return told(connection.read_response())
        finally:
            connection.disconnect()

    async def find(self, ask: Ask) -> Place:
        """The same from an event loop, all at once: ``ask`` asks one. One attempt for all who wait."""
        if (known := self._remembered()) is not None:
            return known
        loop = asyncio.get_running_loop()
        asking = self._asking.get(loop)
        if asking is None or asking.done():
            asking = self._asking[loop] = asyncio.create_task(self._find(ask))
        return await asyncio.shield(asking)

    async def _find(self, ask: Ask) -> Place:
        waiting = {asyncio.create_task(_in_time(ask, place)) for place in self.places}
        asked = list(waiting)
        answers: list[ToldPrimary] = []
        try:
            while waiting and len(answers) < self.majority:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                answers += [each for task in done if (each := task.result()) is not None]
        finally:
            await end(asked)
        return self._chosen(answers)

    def _remembered(self) -> Place | None:
        known = self._known
        return known[0] if known is not None and time.monotonic() < known[1] else None

    def _chosen(self, answers: Iterable[ToldPrimary]) -> Place:
        newest = max(answers, key=lambda each: each.epoch, default=None)
        if newest is None:
            raise NoPrimary(f"No Sentinel names a primary of '{self.service}'.")
        self._known = (newest.place, time.monotonic() + KNOWN_SECONDS)
        return newest.place


async def _in_time(ask: Ask, place: Place) -> ToldPrimary | None:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            return await ask(place)
    except (redis.RedisError, OSError):  # which a time-out is, too
        return None


def told(answer: Any) -> ToldPrimary:
    """Of the answer to ``SENTINEL MASTER``. Raises `RedisError` for one that is none."""
    try:
        facts = dict(zip(answer[::2], answer[1::2], strict=True))
        return ToldPrimary((facts[b"ip"].decode(), int(facts[b"port"])), int(facts[b"config-epoch"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise redis.InvalidResponse("A Sentinel answers something else than what it knows of a primary.") from error


def check_role(answer: Any) -> None:
    """``answer``: to HELLO, which every user may say. Raises `NoPrimary` for a server that is a replica."""
    facts = answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    role = facts.get(b"role", facts.get("role"))
    if role not in (b"master", "master"):
        raise NoPrimary("The server that the Sentinels name is not the primary.")

"""What others publish in Redis (https://redis.io/docs/latest/develop/pubsub/): one connection of it, and one that is made anew for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from redis.exceptions import RedisError

from ollamamax import logs
from ollamamax.bus import link
from ollamamax.bus.background import Background
from ollamamax.bus.link import Broken, Command, Link, opened, pack
from ollamamax.kernel.tasks import end

Hear = Callable[[bytes, bytes], None]
"""Told channel and data of each message, as it is read. What it raises is logged: one message ends the hearing of no other."""
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds before the next connection; the pause doubles while none can be made."""
_log = logs.get(__name__)


class Hearing:
    """One connection: ``hear`` is told what is published on ``channels`` and on those that match ``patterns``, in its order,
    while ``async with`` holds it. A message of more than ``most`` bytes breaks it, unless that is 0.

    The server is asked for a sign of life every few seconds, so that a connection that passes nothing any more ends like one that broke.
    """

    def __init__(
        self, url: str, hear: Hear, *, channels: Sequence[str] = (), patterns: Sequence[str] = (), most: int = 0
    ) -> None:
        self._url = url
        self._most = most
        self._hear = hear
        self._asked: list[Command] = [
            *(("SUBSCRIBE", channel) for channel in channels),
            *(("PSUBSCRIBE", pattern) for pattern in patterns),
        ]
        self._link: Link
        self._broken = asyncio.Event()
        self._alive: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Subscribed. Raises `RedisError`."""
        self._link = await opened(self._url, most=self._most)
        try:
            self._link.told = self._told
            for command in self._asked:
                await self._link.send(pack(command), None)
        except BaseException:
            self._link.close()
            raise
        self._alive = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._alive is not None:
            await end([self._alive])
        self._link.close()

    async def broken(self) -> None:
        """Return when nothing more will be heard."""
        await self._broken.wait()

    def _told(self, answer: Any) -> bool:
        """Whether it was a message, and no answer; ``None`` is the end."""
        match answer:
            case [b"message", bytes(channel), bytes(data)] | [b"pmessage", _, bytes(channel), bytes(data)]:
                try:
                    self._hear(channel, data)
                except Exception:  # noqa: BLE001 - a defect in what is done with one message
                    _log.exception("message_broke_its_reader")
                return True
            case None:
                self._broken.set()
                return True
        return False

    async def _ask(self) -> None:
        while not self._link.broken:
            await asyncio.sleep(link.ANSWER_SECONDS)
            with contextlib.suppress(Broken):
                await self._link.send(pack(("PING",)), None)


async def _nothing_before() -> None:
    """For subscribers to whom what was said before they listened is of no use."""


class Subscription:
    """Hears for as long as `run` runs, over one connection after the other.

    On each new connection it subscribes first and calls ``load`` then, so that what was published in between is not missed; ``hear`` may
    be called while ``load`` still runs. ``load`` may raise `RedisError` or `OSError`: then a new connection is made. ``listening`` is
    set while it hears and has loaded; ``background`` is told so too, under ``name``.
    """

    def __init__(
        self,
        name: str,
        url: str,
        hear: Hear,
        *,
        channels: Sequence[str] = (),
        patterns: Sequence[str] = (),
        load: Callable[[], Awaitable[None]] = _nothing_before,
        background: Background | None = None,
    ) -> None:
        self.listening = asyncio.Event()
        self._name = name
        self._url = url
        self._hear = hear
        self._channels = channels
        self._patterns = patterns
        self._load = load
        self._background = background

    async def run(self) -> None:
        """Never returns."""
        pause = FIRST_PAUSE
        while True:
            try:
                hearing = Hearing(self._url, self._hear, channels=self._channels, patterns=self._patterns)
                async with hearing:
                    await self._load()
                    self._is_up()
                    pause = FIRST_PAUSE
                    await hearing.broken()
                problem = "The connection to Redis broke."
            except (RedisError, OSError) as error:  # which a time-out is, too
                problem = str(error) or type(error).__name__
            finally:
                self.listening.clear()
            self._is_down(problem)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _is_up(self) -> None:
        self.listening.set()
        if self._background is not None:
            self._background.up(self._name)

    def _is_down(self, problem: str) -> None:
        _log.warning("subscription_broken", part=self._name, error=problem)
        if self._background is not None:
            self._background.down(self._name, problem)

"""What others publish in Redis (https://redis.io/docs/latest/develop/pubsub/)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Self

from ollamamax import logs
from ollamamax.bus import link
from ollamamax.bus.link import Broken, Command, Link, opened, pack
from ollamamax.kernel.tasks import end

Hear = Callable[[bytes, bytes], None]
"""Told channel and data of each message, as it is read. What it raises is logged: one message ends the hearing of no other."""
_log = logs.get(__name__)


class Subscription:
    """``hear`` is told what is published on ``channels`` and on those that match ``patterns``, in its order, while ``async with`` holds it.

    Its connection is asked for a sign of life when nothing comes for long.
    """

    def __init__(self, url: str, hear: Hear, *, channels: Sequence[str] = (), patterns: Sequence[str] = ()) -> None:
        self._url = url
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
        self._link = await opened(self._url)
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

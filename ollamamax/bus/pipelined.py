"""Commands of many tasks over one Redis connection (https://redis.io/docs/latest/develop/using-commands/pipelining/)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from redis.exceptions import RedisError

from ollamamax.bus import sentinels
from ollamamax.bus.link import Broken, Command, Link, opened, pack
from ollamamax.kernel.tasks import end


class Pipelined:
    """``url`` as redis-py takes it. A command that waits in Redis needs one of these for itself.

    It connects with its first command, and again when the connection broke. A command whose connection breaks is sent once
    more, as redis-py does: it may run twice. What must not (it takes from a list, or counts) is sent ``once``: whether it ran is not
    known when its connection broke, and whoever sent it has to look.
    """

    def __init__(self, url: str) -> None:
        self.may_lose = sentinels.named(url)
        """Whether a server that takes the place of another may lack what that one took last."""
        self.connected_anew: list[Callable[[], None]] = []
        """Called after each connection but the first."""
        self._url = url
        self._link: Link | None = None
        self._connected = False
        self._connecting: asyncio.Task[Link] | None = None

    def do(self, *command: bytes | str | int | float) -> Coroutine[Any, Any, Any]:
        """The answer to one command. Raises `RedisError`."""
        return self._answered(pack(command), None)

    async def do_all(self, commands: Sequence[Command], *, once: bool = False) -> list[Any]:
        """The answers to ``commands``, between which no other comes. Raises `RedisError`: the first error among them, when all have run."""
        answers = await self.do_each(commands, once=once)
        for answer in answers:
            # A transaction's are a list within the list.
            for each in answer if isinstance(answer, list) else (answer,):
                if isinstance(each, RedisError):
                    raise each
        return answers

    async def do_each(self, commands: Sequence[Command], *, once: bool = False) -> list[Any]:
        """The same, where the answer to a command that Redis refused is its error. Raises `RedisError` when the connection breaks."""
        return cast("list[Any]", await self._answered(b"".join(map(pack, commands)), len(commands), once=once))

    async def aclose(self) -> None:
        """Those that still wait for an answer get redis-py's `ConnectionError`."""
        if self._connecting is not None:
            await end([self._connecting])
        link, self._link = self._link, None
        if link is not None:
            link.close()

    async def _answered(self, packed: bytes, wanted: int | None, *, once: bool = False) -> Any:
        link = self._open() or await self._connect()
        try:
            return await link.send(packed, wanted)
        except Broken:
            if once:
                raise
            return await (self._open() or await self._connect()).send(packed, wanted)

    def _open(self) -> Link | None:
        return self._link if self._link is not None and not self._link.broken else None

    async def _connect(self) -> Link:
        # One attempt for all who wait: in turn each would wait for those of all before it.
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(opened(self._url))
        connecting = self._connecting
        link = await asyncio.shield(connecting)
        if self._open() is None and not link.broken:
            self._link = link
            if self._connected:
                for call in self.connected_anew:
                    call()
            self._connected = True
        return link

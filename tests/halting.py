"""A way to Redis that can go half-open: its connections stay, and pass nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit


class HaltingWay:
    """A TCP proxy before ``redis_url``, while ``async with`` holds it; ``url`` leads through it."""

    def __init__(self, redis_url: str) -> None:
        self._there = urlsplit(redis_url)
        self._open: list[asyncio.Event] = []
        self._works: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        credentials = self._there.netloc.rpartition("@")[0]
        self.url = self._there._replace(netloc=f"{credentials}@127.0.0.1:{port}".lstrip("@")).geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for work in list(self._works):
            work.cancel()

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return len(self._open)

    def halt(self) -> None:
        """The connections that there are pass nothing from now on, in neither direction, and are not closed. New ones pass."""
        for passes in self._open:
            passes.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passes = asyncio.Event()
        passes.set()
        self._open.append(passes)
        there = await asyncio.open_connection(self._there.hostname, self._there.port)
        for source, sink in ((reader, there[1]), (there[0], writer)):
            work = asyncio.create_task(_pump(source, sink, passes))
            self._works.add(work)
            work.add_done_callback(self._works.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passes: asyncio.Event) -> None:
    try:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                await passes.wait()
                sink.write(data)
                await sink.drain()
    finally:
        sink.close()

"""What stands before web processes that are replaced: it looks which are ready, and leads new connections there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp

from benchmarks.product import free_port

LOOK_EVERY = 0.1
"""Seconds between two looks of the door at a process's `/readyz`."""


@dataclass
class Backend:
    """A process behind the door. ``ready``: what it said of itself a moment ago."""

    port: int
    ready: bool = False


class Door:
    """What stands before the web processes, as a Service of Kubernetes does: new connections go to ready ones in turn, old ones stay."""

    def __init__(self) -> None:
        self.port = free_port()
        self.backends: list[Backend] = []
        self._turn = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._take, "127.0.0.1", self.port, backlog=1024)
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            server.close()

    async def _look(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                for backend in list(self.backends):
                    backend.ready = await _says_ready(session, backend.port)
                await asyncio.sleep(LOOK_EVERY)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ready = [each for each in self.backends if each.ready]
        if not ready:
            writer.close()
            return
        self._turn += 1
        try:
            there, here = await asyncio.open_connection("127.0.0.1", ready[self._turn % len(ready)].port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, here), _pump(there, writer))


async def _says_ready(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()

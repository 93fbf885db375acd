"""A network between two programs that can be slow, lossy or cut: proxies of TCP connections, in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from dataclasses import dataclass

RETRANSMITTED = 0.2
"""Seconds after which TCP sends again what was lost (RFC 6298 allows no less than 1 s, Linux takes 0.2); twice as long each further time."""
_MOST_TRIES = 4


@dataclass
class Rough:
    """How the network is now. ``delay``: seconds each way; ``loss``: the share of segments that are lost; ``is_cut``: nothing passes, and no connection ends."""

    delay: float = 0.0
    loss: float = 0.0
    is_cut: bool = False


class RoughProxy:
    """Stands before ``port`` of this machine, at `port`. ``with`` starts and ends it."""

    def __init__(self, target: int, seed: int = 1) -> None:
        self.network = Rough()
        self.port = 0
        self._target = target
        self._rng = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"network before {target}")
        self._listening = threading.Event()
        self._pumps: set[asyncio.Task[None]] = set()

    def __enter__(self) -> RoughProxy:
        self._thread.start()
        self._listening.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._take, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for pump in self._pumps:
            pump.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._pumps, return_exceptions=True))
        self._loop.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passable()
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        for one, other in ((reader, here), (there, writer)):
            pump = asyncio.create_task(self._pump(one, other))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _passable(self) -> None:
        while self.network.is_cut:  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.02)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is read waits for its time, in order; reading goes on meanwhile, as on a line that is long."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
        writing = asyncio.create_task(self._write(under_way, writer))
        due = 0.0
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    due = max(due, self._loop.time() + self.network.delay + self._lost())
                    await under_way.put((due, data))
            await under_way.put((due, b""))
            await writing
        finally:
            writing.cancel()
            writer.close()

    async def _write(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(due - self._loop.time())
                await self._passable()
                if not data:
                    return
                writer.write(data)
                await writer.drain()

    def _lost(self) -> float:
        """Seconds by which what was lost comes later."""
        seconds = 0.0
        for again in range(_MOST_TRIES):
            if self._rng.random() >= self.network.loss:
                break
            seconds += RETRANSMITTED * 2**again
        return seconds

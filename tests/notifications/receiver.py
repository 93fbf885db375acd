"""A receiver of webhooks: a real HTTP server on this machine that answers as the test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ollamamax.outbound.addresses import Rules

LOCAL = Rules(networks=[ipaddress.ip_network("127.0.0.0/8")], http=True)
Answer = Callable[[asyncio.StreamWriter, int], Awaitable[None]]
"""Writes the answer to the request of this number, from 1 on."""


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


def status(code: int, body: str = "", headers: str = "") -> Answer:
    async def answer(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(f"HTTP/1.1 {code} X\r\n{headers}Content-Length: {len(body.encode())}\r\n\r\n{body}".encode())

    return answer


@dataclass
class Receiver:
    port: int = 0
    answer: Answer = field(default_factory=lambda: status(200, "thanks"))
    received: list[Received] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.received.append(Received(first.split(" ")[1], headers, body))
            await self.answer(writer, len(self.received))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


@contextmanager
def receiving() -> Iterator[Receiver]:
    found, loop = Receiver(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(found.handle, "127.0.0.1", 0)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(5)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:

        async def end() -> None:
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()

"""The load: a lean HTTP client in a process of its own, the same against the engine and against OllamaMax.

``python -m benchmarks.client`` reads one JSON `Job` a line and answers each with one JSON `Result`.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

_TEXT = re.compile(rb'"content": ?"([^"]*)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_END = b"0\r\n\r\n"
_ACCEPTED_AFTER = 0.05
"""Seconds until a server has surely taken up connections that its system accepted: that is no part of a request."""
_MOST_BROKEN = 2
"""Connections that may break for one client before it gives up."""


class Job(msgspec.Struct):
    """``requests`` answers of ``tokens`` tokens, ``concurrency`` at once, with ``pause`` seconds between a client's requests.

    The engine makes a token ``every`` so many milliseconds, the first after ``first`` of them; at 0 all at once. After
    ``seconds`` no request begins any more, where that is not 0; ``patience`` seconds are as long as one may take.
    """

    url: str
    model: str
    key: str
    concurrency: int
    requests: int
    tokens: int
    pause: float = 0.0
    every: int = 0
    first: int = 0
    stream: bool = True
    seconds: float = 0.0
    patience: float = 120.0
    headers: dict[str, str] = {}


class Result(msgspec.Struct):
    """Times in seconds, one a good answer. ``wrong`` counts those that lost, doubled or swapped a token, or had no clean end."""

    seconds: float
    first_token: list[float]
    duration: list[float]
    parts: int
    """Writes in which the streams arrived: how much was batched."""
    wrong: int
    complaint: str = ""
    """What was wrong with the first of them."""


def expected_text(tokens: int) -> bytes:
    """What the stub engine says."""
    return b"".join(b"t%d " % number for number in range(tokens))


def check(head: bytes, body: bytes, text: bytes, *, stream: bool = True) -> str:
    """What is wrong with an answer's raw body; empty when nothing is."""
    status = head.split(b"\r\n", 1)[0]
    if b" 200 " not in status:
        return f"{status.decode('latin-1')}: {body[:300].decode(errors='replace')}"
    got = b"".join(_TEXT.findall(body))
    if got != text and _CHUNKED.search(head):
        # A chunk may end in the middle of a token.
        got = b"".join(_TEXT.findall(_whole(body)))
    if got != text:
        return f"{len(got)} bytes of text instead of {len(text)}: ...{got[-80:].decode()}"
    return "" if not stream or b"data: [DONE]" in body else "the stream has no end"


def _whole(body: bytes) -> bytes:
    """A chunked body, put together."""
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0] or b"0", 16)
        parts.append(body[:length])
        body = body[length + 2 :]
    return b"".join(parts)


class Connection(asyncio.Protocol):
    """One kept-open connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.received = bytearray()
        self.parts = 0
        self.first_at = 0.0
        self.end = -1
        self.ended: asyncio.Future[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass of it

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.parts += 1
        # Not the first byte but the first token: OpenAI's first chunk holds only a role.
        if not self.first_at and b'"t0 ' in self.received:
            self.first_at = time.perf_counter()
        if not self.ended.done() and self._is_complete():
            self.ended.set_result(None)

    def _is_complete(self) -> bool:
        if self.end < 0:
            head, found, _ = bytes(self.received).partition(b"\r\n\r\n")
            if not found:
                return False
            length = _LENGTH.search(head)
            self.end = len(head) + 4 + int(length[1]) if length else 0
        return len(self.received) >= self.end if self.end else self.received.endswith(_END)

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "ended") and not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> tuple[float, float]:
        """Seconds until the first token and until the end; the answer is in ``received``."""
        self.received.clear()
        self.parts = 0
        self.first_at = 0.0
        self.end = -1
        self.ended = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self.transport.write(request)
        await self.ended
        ended = time.perf_counter()
        return (self.first_at or ended) - begun, ended - begun


def request_bytes(job: Job) -> bytes:
    parts = urlsplit(job.url)
    pace = f"Count, first after {job.first} ms, every {job.every} ms" if job.first else f"Count, every {job.every} ms"
    body = msgspec.json.encode(
        {
            "model": job.model,
            **({"stream": True, "stream_options": {"include_usage": True}} if job.stream else {}),
            "max_tokens": job.tokens,
            "messages": [{"role": "user", "content": pace}],
        }
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {job.key}\r\nContent-Length: {len(body)}\r\n"
        + "".join(f"{name}: {value}\r\n" for name, value in job.headers.items())
        + "\r\n"
    )
    return head.encode() + body


async def run(job: Job) -> Result:
    """Do the job. All connect before anybody asks. Every stream is checked after its end, outside of its own time."""
    parts = urlsplit(job.url)
    host, port = str(parts.hostname), parts.port or 80
    request = request_bytes(job)
    text = expected_text(job.tokens)
    result = Result(0.0, [], [], 0, 0)
    left = iter(range(job.requests))
    loop = asyncio.get_running_loop()

    def wrong(complaint: str) -> None:
        result.wrong += 1
        result.complaint = result.complaint or complaint

    async def connected() -> Connection | None:
        try:
            _, connection = await loop.create_connection(Connection, host, port)
        except OSError:
            return None  # the first request tells why, or succeeds
        return connection

    async def one_client(connection: Connection | None) -> None:
        broken = 0
        for _ in left:
            if job.seconds and time.perf_counter() - begun > job.seconds:
                break
            try:
                if connection is None or connection.transport.is_closing():
                    _, connection = await loop.create_connection(Connection, host, port)
                async with asyncio.timeout(job.patience):
                    first, duration = await connection.ask(request)
            except (OSError, TimeoutError) as error:
                wrong(f"no whole answer: {str(error) or type(error).__name__}")
                if connection is not None:
                    connection.transport.abort()
                broken += 1
                if broken == _MOST_BROKEN:
                    break
                continue
            head, _, body = bytes(connection.received).partition(b"\r\n\r\n")
            if complaint := check(head, body, text, stream=job.stream):
                wrong(complaint)
            else:
                result.first_token.append(first)
                result.duration.append(duration)
            result.parts += connection.parts
            if job.pause:
                await asyncio.sleep(job.pause)
        if connection is not None:
            connection.transport.close()

    connections = await asyncio.gather(*(connected() for _ in range(job.concurrency)))
    await asyncio.sleep(_ACCEPTED_AFTER)
    begun = time.perf_counter()
    await asyncio.gather(*map(one_client, connections))
    result.seconds = time.perf_counter() - begun
    return result


def main() -> None:
    # One loop for all jobs: with a new one each, a run once hung in libuv's own lock.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin.buffer:
            result = runner.run(run(msgspec.json.decode(line, type=Job)))
            sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

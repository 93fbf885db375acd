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

_TEXT = re.compile(rb'"content":"([^"]*)"')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_END = b"0\r\n\r\n"


class Job(msgspec.Struct):
    """``requests`` streams of ``tokens`` tokens, ``concurrency`` at once, with ``pause`` seconds between a client's requests.

    The engine makes a token ``every`` so many milliseconds; at 0 all at once.
    """

    url: str
    model: str
    key: str
    concurrency: int
    requests: int
    tokens: int
    pause: float = 0.0
    every: int = 0


class Result(msgspec.Struct):
    """Times in seconds, one a stream. ``wrong`` counts streams that lost, doubled or swapped a token, or had no clean end."""

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


def check(status: bytes, body: bytes, text: bytes) -> str:
    """What is wrong with a stream's raw body; empty when nothing is."""
    if b" 200 " not in status:
        return f"{status.decode('latin-1')}: {body[:300].decode(errors='replace')}"
    got = b"".join(_TEXT.findall(body))
    if got != text:
        return f"{len(got)} bytes of text instead of {len(text)}: ...{got[-80:].decode()}"
    return "" if b"data: [DONE]" in body else "the stream has no end"


class Connection(asyncio.Protocol):
    """One kept-open connection; one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.received = bytearray()
        self.parts = 0
        self.first_at = 0.0
        self.ended: asyncio.Future[None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass of it

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.parts += 1
        # Not the first byte but the first token: OpenAI's first chunk holds only a role.
        if not self.first_at and b'"content":"t0 ' in self.received:
            self.first_at = time.perf_counter()
        if not self.ended.done() and self._is_complete():
            self.ended.set_result(None)

    def _is_complete(self) -> bool:
        if self.received.startswith(b"HTTP/1.1 200"):
            return self.received.endswith(_END)
        head, _, body = bytes(self.received).partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return length is not None and len(body) >= int(length[1])

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> tuple[float, float]:
        """Seconds until the first token and until the end; the answer is in ``received``."""
        self.received.clear()
        self.parts = 0
        self.first_at = 0.0
        self.ended = asyncio.get_running_loop().create_future()
        begun = time.perf_counter()
        self.transport.write(request)
        await self.ended
        ended = time.perf_counter()
        return (self.first_at or ended) - begun, ended - begun


def request_bytes(job: Job) -> bytes:
    parts = urlsplit(job.url)
    body = msgspec.json.encode(
        {
            "model": job.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": job.tokens,
            "messages": [{"role": "user", "content": f"Count, every {job.every} ms"}],
        }
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {job.key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(job: Job) -> Result:
    """Do the job. Every stream is checked after its end, outside of its own time."""
    parts = urlsplit(job.url)
    host, port = str(parts.hostname), parts.port or 80
    request = request_bytes(job)
    text = expected_text(job.tokens)
    result = Result(0.0, [], [], 0, 0)
    left = iter(range(job.requests))
    loop = asyncio.get_running_loop()

    async def one_client() -> None:
        _, connection = await loop.create_connection(Connection, host, port)
        try:
            for _ in left:
                first, duration = await connection.ask(request)
                result.first_token.append(first)
                result.duration.append(duration)
                result.parts += connection.parts
                answer = bytes(connection.received)
                head, _, body = answer.partition(b"\r\n\r\n")
                if complaint := check(head.split(b"\r\n", 1)[0], body, text):
                    result.wrong += 1
                    result.complaint = result.complaint or complaint
                if job.pause:
                    await asyncio.sleep(job.pause)
        finally:
            connection.transport.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one_client() for _ in range(job.concurrency)))
    result.seconds = time.perf_counter() - begun
    return result


def main() -> None:
    for line in sys.stdin.buffer:
        result = uvloop.run(run(msgspec.json.decode(line, type=Job)))
        sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

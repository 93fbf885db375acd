"""Clients that keep so many streams in flight through several gateways, and note what each of them sees of an interruption."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast
from urllib.parse import urlsplit

import msgspec

TEXT = re.compile(rb'"content":"((?:[^"\\]|\\.)*)"')
RETRIES = 2
"""What the official clients do by themselves, when the connection or the server fails before the answer begins."""
RETRIED = (b" 408 ", b" 409 ", b" 429 ", b" 500 ", b" 502 ", b" 503 ", b" 504 ")
PAUSE = 0.5
"""Seconds before the first retry, as OpenAI's client; doubled for the second."""
AWAY = 14.0
"""Seconds after which a client that was cut off comes back to its own gateway."""
End = Literal["ok", "error", "refused", "cut"]


@dataclass
class Told:
    """One try of a request, as its client saw it. Times are `time.monotonic`.

    ``end``: whole; an error in the stream; an error instead of a stream; or the connection ended.
    """

    client: int
    gateway: str
    begun: float
    first: float | None = None
    token: float | None = None
    last: float = 0.0
    gap: float = 0.0
    """The longest time between two parts of the stream."""
    token_at: float = 0.0
    token_gap: float = 0.0
    """The longest time between two tokens, and when it was over."""
    token_gap_end: float = 0.0
    ended: float = 0.0
    end: End = "cut"
    status: bytes = b""
    node: str = ""
    request: str = ""
    text: bytes = b""
    continued: int = 0
    right: bool = False
    """The text is the whole and nothing else, or, where the stream broke, its beginning."""
    again: int = 0
    """How often it was tried before."""
    complaint: str = ""


@dataclass
class Clients:
    """Each asks for ``tokens`` tokens with the same message, again and again. ``counted`` is for whoever measures."""

    gateways: Sequence[str]
    key: str
    count: int
    tokens: int
    message: str
    model: str = "stub"
    priority: str = "normal"
    counted: tuple[float, float] = (0.0, 0.0)
    told: list[Told] = field(default_factory=list)
    under_way: dict[int, Told] = field(default_factory=dict)
    arrived: list[tuple[float, int]] = field(default_factory=list)
    """When how many tokens came."""

    async def run(self, until: asyncio.Event, expected: bytes) -> None:
        """Returns when all streams that were under way when ``until`` was set have ended."""
        rng = random.Random(1)
        await asyncio.gather(*(self._client(number, rng.random(), until, expected) for number in range(self.count)))

    async def _client(self, number: int, wait: float, until: asyncio.Event, expected: bytes) -> None:
        await asyncio.sleep(wait * 3)  # not all in step
        gateway = home = number % len(self.gateways)
        away_until = 0.0
        while not until.is_set():
            if time.monotonic() > away_until:
                gateway = home
            for again in range(RETRIES + 1):
                told = await self.ask(number, self.gateways[gateway], again)
                told.right = told.text == expected if told.end == "ok" else expected.startswith(told.text)
                self.told.append(told)
                if told.end == "cut":
                    # Whatever stands before the gateways sends what comes next to one that answers.
                    gateway, away_until = (gateway + 1) % len(self.gateways), time.monotonic() + AWAY
                if told.first is not None or not (told.end == "cut" or any(each in told.status for each in RETRIED)):
                    break
                await asyncio.sleep(PAUSE * 2**again)

    async def ask(self, number: int, gateway: str, again: int) -> Told:
        """One request, once."""
        parts = urlsplit(gateway)
        told = self.under_way[number] = Told(number, gateway, time.monotonic(), again=again)
        connection = _Connection(told, self.arrived)
        try:
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: connection, str(parts.hostname), parts.port or 80
            )
            transport.write(self._request(parts.netloc))
            await connection.ended
            transport.close()
        except OSError as error:
            told.complaint = type(error).__name__
        told.ended = time.monotonic()
        del self.under_way[number]
        connection.judge()
        return told

    def _request(self, host: str) -> bytes:
        body = msgspec.json.encode(
            {
                "model": self.model,
                "stream": True,
                "max_tokens": self.tokens,
                "temperature": 0,
                "messages": [{"role": "user", "content": self.message}],
            }
        )
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.key}\r\nContent-Length: {len(body)}\r\nX-OllamaMax-Priority: {self.priority}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body

    def rate(self, begin: float, end: float) -> float:
        """Tokens a second that arrived between two times."""
        return sum(count for at, count in self.arrived if begin <= at < end) / (end - begin)


class _Connection(asyncio.Protocol):
    """One request; what it says is judged when it is over."""

    def __init__(self, told: Told, arrived: list[tuple[float, int]]) -> None:
        self._told = told
        self._arrived = arrived
        self._received = bytearray()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        now, told = time.monotonic(), self._told
        if told.first is None:
            told.first = now
        else:
            told.gap = max(told.gap, now - told.last)
        told.last = now
        self._received += data
        tokens = data.count(b'"content":"') - data.count(b'"content":""')
        if tokens:
            self._arrived.append((now, tokens))
            if told.token is None:
                told.token = now
            else:
                if now - told.token_at > told.token_gap:
                    told.token_gap, told.token_gap_end = now - told.token_at, now
            told.token_at = now
        if not told.node and b"\r\n\r\n" in self._received:
            told.node = self._header(b"x-ollamamax-node")
            told.request = self._header(b"x-request-id")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _header(self, name: bytes) -> str:
        found = re.search(rb"(?i)\r\n" + name + rb": *([^\r\n]*)", self._received)
        return found[1].decode() if found else ""

    def judge(self) -> None:
        told = self._told
        head, _, body = bytes(self._received).partition(b"\r\n\r\n")
        told.status = head.split(b"\r\n", 1)[0]
        told.text = b"".join(cast("list[bytes]", TEXT.findall(body)))
        if found := re.search(rb'"continued":(\d+)', body):
            told.continued = int(found[1])
        if not told.status:
            return
        if b" 200 " not in told.status:
            told.end, told.complaint = "refused", body[-300:].decode(errors="replace")
        elif b"data: [DONE]" in body and b'"error"' not in body:
            told.end = "ok"
        elif found := re.search(rb'data: (\{"error".*)', body):
            told.end, told.complaint = "error", found[1][:300].decode(errors="replace")

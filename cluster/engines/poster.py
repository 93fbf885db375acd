"""POST requests to engines, whose answers are read as they come: HTTP/1.1 (RFC 9112), parsed by httptools.

For answers of many small parts. With aiohttp, which everything else here uses, each part costs a dozen calls, more than
all else that a node does with it.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import cast
from urllib.parse import unquote, urlsplit

import httptools

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 300.0
"""Between two parts, and until the first, which may include loading a large model."""
PAUSE_BYTES = 256 << 10
"""When so much was not read, the engine is not read either, and waits when the connection is full."""
_KEPT = 64
"""Connections without a request that stay open for the next, for each engine."""


class Poster:
    """``headers`` go with every request. ``reuse`` keeps connections open between requests."""

    def __init__(self, headers: Mapping[str, str] | None = None, *, reuse: bool = True) -> None:
        self._headers = tuple((headers or {}).items())
        self._reuse = reuse
        self._idle: dict[str, list[_Connection]] = {}
        self._secured: ssl.SSLContext | None = None

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> _Exchange:
        """``async with`` gives the answer, once its head is there; leaving before its end closes the connection, which tells the engine
        to stop.

        Sent once more when a connection that was kept open turns out to be closed. Raises `ConnectionError` when the
        connection breaks, `NotReached` when there is none, and `TimeoutError` after `SILENT_SECONDS` without a word.
        """
        return _Exchange(self, url, body, headers)

    async def _asked(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[_Connection, EngineReply]:
        """A connection, and the answer on it, whose head is there."""
        origin, head = _head(url, self._headers, self._reuse)
        packed = _packed(head, body, headers)
        connection = self._kept(origin)
        is_new = connection is None
        while True:
            if connection is None:
                connection, is_new = await self._connected(url), True
            answer = connection.ask(packed)
            try:
                if not answer.status:
                    await answer.head()
            except BaseException as error:
                connection.close()
                if is_new or not isinstance(error, ConnectionError):
                    raise
                connection = None
            else:
                return connection, answer

    def _left(self, url: str, connection: _Connection, answer: EngineReply) -> None:
        if answer.reusable and self._reuse and not connection.closed:
            self._keep(_head(url, self._headers, self._reuse)[0], connection)
        else:
            connection.close()

    def close(self) -> None:
        for kept in self._idle.values():
            for connection in kept:
                connection.close()
        self._idle.clear()

    def _kept(self, origin: str) -> _Connection | None:
        kept = self._idle.get(origin)
        while kept:
            connection = kept.pop()
            if not connection.closed:
                return connection
        return None

    def _keep(self, origin: str, connection: _Connection) -> None:
        kept = self._idle.setdefault(origin, [])
        kept[:] = [each for each in kept if not each.closed] if len(kept) >= _KEPT else kept
        if len(kept) < _KEPT:
            kept.append(connection)
        else:
            connection.close()

    async def _connected(self, url: str) -> _Connection:
        parts = urlsplit(url)
        secured = None
        if parts.scheme == "https":
            secured = self._secured = self._secured or ssl.create_default_context()
        port = parts.port or (443 if secured else 80)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                loop = asyncio.get_running_loop()
                _, connection = await loop.create_connection(_Connection, parts.hostname or "", port, ssl=secured)
        except OSError as error:  # which a time-out is, too
            raise NotReached(error.strerror or str(error) or "no answer in time") from error
        return connection


class _Exchange:
    """One request and its answer; a class, since every request has one."""

    __slots__ = ("_answer", "_asked", "_connection", "_poster", "_url")

    def __init__(self, poster: Poster, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._poster, self._url, self._asked = poster, url, (url, body, headers)

    async def __aenter__(self) -> EngineReply:
        self._connection, self._answer = await self._poster._asked(*self._asked)
        return self._answer

    async def __aexit__(self, *_: object) -> None:
        self._poster._left(self._url, self._connection, self._answer)


class NotReached(ConnectionError):
    """There is no connection to be had; the text says why."""


class EngineReply:
    """``status`` is known after `head`. One reader."""

    def __init__(self, connection: _Connection) -> None:
        self.status = 0
        self.reusable = False
        """It came whole, and another request may follow on its connection."""
        self._connection = connection
        self._parts: list[bytes] = []
        self._size = 0
        self._ended = False
        self._error: ConnectionError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._since = 0.0
        """When it was waited for last, in the loop's time."""

    async def head(self) -> None:
        while not self.status:
            await self._wait()

    async def part(self) -> bytes:
        """All that came since the last call, at least something; empty at the end."""
        while not self._parts:
            if self._ended:
                return b""
            await self._wait()
        parts, self._parts, self._size = self._parts, [], 0
        self._connection.resume()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read(self) -> bytes:
        """The whole body."""
        parts = []
        while part := await self.part():
            parts.append(part)
        return b"".join(parts)

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        loop = asyncio.get_running_loop()
        self._waiter, self._since = loop.create_future(), loop.time()
        await self._waiter

    # -- what its connection tells it -----------------------------------------------------------------------------

    def take(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > PAUSE_BYTES:
            self._connection.pause()

    def end(self, *, reusable: bool) -> None:
        self._ended = True
        self.reusable = reusable

    def fail(self, error: ConnectionError) -> None:
        if not self._ended:
            self._error = error

    def look(self, now: float) -> float:
        """End the wait for a word if it takes too long; seconds until the next look."""
        if self._waiter is None or self._waiter.done():
            return SILENT_SECONDS
        left = self._since + SILENT_SECONDS - now
        if left <= 0:
            self._waiter.set_exception(TimeoutError())
        return left if left > 0 else SILENT_SECONDS

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Connection(asyncio.Protocol):
    """One connection, and the answer that it waits for or reads."""

    def __init__(self) -> None:
        self.closed = False
        self._parser = httptools.HttpResponseParser(self)
        self._answer: EngineReply | None = None
        self._measured = False
        """The body's length is told; else it ends with the connection."""
        self._paused = False
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        # One for the connection: each part that is waited for would need its own otherwise.
        self._watch = self._loop.call_later(SILENT_SECONDS, self._look)

    def _look(self) -> None:
        left = SILENT_SECONDS if self._answer is None else self._answer.look(self._loop.time())
        self._watch = self._loop.call_later(left, self._look)

    def ask(self, packed: bytes) -> EngineReply:
        self._answer = EngineReply(self)
        self._measured = False
        self.resume()
        self._transport.write(packed)
        if self.closed:
            self._answer.fail(ConnectionError("The connection is closed."))
        return self._answer

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        self.closed = True
        self._watch.cancel()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._watch.cancel()
        if self._answer is not None:
            if self._answer.status and not self._measured and exc is None:
                self._answer.end(reusable=False)
            self._answer.fail(ConnectionError(f"{type(exc).__name__}: {exc}" if exc else "The server disconnected."))
            self._answer.wake()

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # nothing was asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._answer.fail(ConnectionError(f"No HTTP: {error}"))
            self.close()
        self._answer.wake()

    # -- what the parser tells ------------------------------------------------------------------------------------

    def on_header(self, name: bytes, _value: bytes) -> None:
        if name.lower() in {b"content-length", b"transfer-encoding"}:
            self._measured = True

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        # An informational response (RFC 9110, section 15.2) comes before the one that counts.
        if self._answer is not None and status >= 200:
            self._answer.status = status

    def on_body(self, part: bytes) -> None:
        if self._answer is not None:
            self._answer.take(part)

    def on_message_complete(self) -> None:
        if self._answer is not None and self._answer.status:
            self._answer.end(reusable=self._parser.should_keep_alive())


@lru_cache(maxsize=256)
def _head(url: str, headers: tuple[tuple[str, str], ...], keep: bool) -> tuple[str, bytes]:
    """What is the same in every request to ``url``: its origin, and its head as far as that."""
    parts = urlsplit(url)
    sent = {
        "Host": parts.netloc.rpartition("@")[2],
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        **({} if keep else {"Connection": "close"}),
        **dict(headers),
    }
    if parts.username is not None and "Authorization" not in sent:
        known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        sent["Authorization"] = f"Basic {base64.b64encode(known.encode()).decode()}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}", _lines(f"POST {target} HTTP/1.1", sent)


def _packed(head: bytes, body: bytes, headers: Mapping[str, str]) -> bytes:
    return head + _lines(f"Content-Length: {len(body)}", headers) + b"\r\n" + body


def _lines(first: str, headers: Mapping[str, str]) -> bytes:
    text = first + "\r\n"
    for name, value in headers.items():
        text += f"{name}: {value}\r\n"
    if text.count("\r") != len(headers) + 1 or text.count("\n") != len(headers) + 1:
        raise ValueError("A header holds the end of a line.")
    return text.encode("latin-1")

"""What uvicorn's HTTP protocol lacks: an answer's head and the first of its body leave in one write, and for a client of
HTTP/1.0 a stream ends with its connection, not in chunks (RFC 9112, 6.1)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import urllib.parse
from collections.abc import Iterable
from typing import Any, BinaryIO, NamedTuple

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from ollamamax.blobs.file_message import FILE
from ollamamax.gateway.http import FOLLOWED

_EXTENSIONS: dict[str, dict[object, object]] = {FILE: {}}
_AT_ONCE = 16 << 20
_BARE = bytes(sorted({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0D}))
"""What no head holds. The ends of its lines are counted besides."""
_MOST_FORMS = 1000
_LARGE = 64 << 10
"""Bytes of a body that are not copied to stand behind their head."""


class Http(HttpToolsProtocol):
    def on_headers_complete(self) -> None:
        """As uvicorn does it, for requests at the root of an application without a limit of its own."""
        parser, scope = self.parser, self.scope
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        if parser.should_upgrade() and self._should_upgrade():
            return
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        if scope["scheme"] == "http":
            scope["extensions"] = _EXTENSIONS
        before: RequestResponseCycle | None = self.cycle
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["http_version"] == "1.0":
            app = _until_closed(app, cycle)
        super()._start_asgi_task(cycle, app)


class Cycle(RequestResponseCycle):
    """One request and its answer. A head whose body does not come at once leaves in the next turn of the event loop."""

    _head = b""
    """What was not written yet."""

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            if message["type"] != "http.response.start":
                raise RuntimeError("An answer begins with its head.")
            self.response_started = True
            self.waiting_for_100_continue = False
            self._head = self._made(message["status"], message.get("headers", ()))
            if FOLLOWED not in message:
                asyncio.get_running_loop().call_soon(self._write, b"")
            return
        if message["type"] == FILE and not self.response_complete:
            await self._send_file(message["file"], message["offset"], message["count"])
            return
        if self.response_complete or message["type"] != "http.response.body":
            raise RuntimeError("An answer is over, or of its body.")
        self._send_body(message.get("body", b""), is_last=not message.get("more_body", False))

    def _send_body(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if is_last:
                body += b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("The body is longer than its head says.")
        self._write(body)
        if is_last:
            if self.expected_content_length:
                raise RuntimeError("The body is shorter than its head says.")
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    async def _send_file(self, file: BinaryIO, offset: int, count: int) -> None:
        """The whole body of an answer to GET that said its length, by the kernel: its bytes never come into this process."""
        if self.chunked_encoding or self.expected_content_length != count or self.scope["method"] != "GET":
            raise RuntimeError("Of a file as many bytes are sent as the head says.")
        self._write(b"")
        transport: Any = self.transport
        while transport.get_write_buffer_size() and not self.disconnected:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)  # the head goes first
        if self.disconnected:
            return
        # A descriptor of its own: the event loop watches the connection's, and lets nobody else.
        connection = os.dup(transport.get_extra_info("socket").fileno())
        try:
            while count and not self.disconnected:
                try:
                    sent = await asyncio.to_thread(os.sendfile, connection, file.fileno(), offset, min(count, _AT_ONCE))
                except BlockingIOError:
                    await _writable(connection)
                    continue
                if not sent:
                    raise RuntimeError("The file is shorter than the head says.")
                offset, count = offset + sent, count - sent
        except ConnectionError:
            transport.abort()
            return
        finally:
            os.close(connection)
        if not count:
            self.expected_content_length = 0
            self._send_body(b"", is_last=True)

    def _write(self, body: bytes) -> None:
        head, self._head = self._head, b""
        if not head:
            if body:
                self.transport.write(body)
        elif self.transport.is_closing():
            return
        elif len(body) < _LARGE:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def _made(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The head. Raises `RuntimeError` for a header that is none."""
        names, values = (
            zip(*self.default_headers, *headers, strict=True) if headers or self.default_headers else ((), ())
        )
        form = _FORMS.get((status, names)) or _form(status, names)
        head, ends = form.text % values, form.lines
        closes = False
        for kind, place in form.telling:
            value = values[place].lower()
            if kind == b"content-length" and self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif kind == b"transfer-encoding" and value == b"chunked":
                self.expected_content_length = 0
                self.chunked_encoding = True
            elif kind == b"connection" and b"close" in [each.strip() for each in value.split(b",")]:
                self.keep_alive = False
                closes = True
        if head.count(b"\n") != ends or head.count(b"\r") != ends or len(head.translate(None, _BARE)) != len(head):
            raise RuntimeError("A header holds what would end it.")
        if not self.keep_alive and not closes:
            head += b"connection: close\r\n"
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in {204, 304}:
            self.chunked_encoding = True
            head += b"transfer-encoding: chunked\r\n"
        return head + b"\r\n"


async def _writable(descriptor: int) -> None:
    """Return when it can be written to, or after a second: the connection may have been given up here."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await ready.wait()
    finally:
        loop.remove_writer(descriptor)


class _Form(NamedTuple):
    """Of heads with the same status and the same names of headers."""

    text: bytes
    """With a place for each value."""
    lines: int
    telling: tuple[tuple[bytes, int], ...]
    """The headers that say how the answer ends, and their places among the values."""


_TELLING = {b"content-length", b"transfer-encoding", b"connection"}
_FORMS: dict[tuple[int, tuple[bytes, ...]], _Form] = {}


def _form(status: int, names: tuple[bytes, ...]) -> _Form:
    if any(HEADER_RE.search(name) or not name for name in names):
        raise RuntimeError("A header has no such name.")
    lower = [name.lower() for name in names]
    text = STATUS_LINE[status].replace(b"%", b"%%") + b"".join(
        name.replace(b"%", b"%%") + b": %b\r\n" for name in lower
    )
    telling = tuple((name, place) for place, name in enumerate(lower) if name in _TELLING)
    form = _Form(text, 1 + len(names), telling)
    if len(_FORMS) < _MOST_FORMS:
        _FORMS[status, names] = form
    return form


def _until_closed(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """``app``, whose responses without a length end when the connection does; uvicorn closes it after every answer to HTTP/1.0."""

    async def run(scope: Any, receive: Any, send: Any) -> None:
        framed = True

        async def send_unframed(message: Any) -> None:
            nonlocal framed
            if message["type"] == "http.response.start":
                framed = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                if not framed:
                    cycle.chunked_encoding = False
            elif not framed:
                # uvicorn counts what it sends against a length; each part is as long as it is.
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, send_unframed)

    return run

"""A stub engine that costs next to nothing: `python -m benchmarks.engine --port 9999`.

What is measured shares its processors with what measures it, so this speaks just enough of OpenAI's API, and of Ollama's for
proxies that know no other, straight on httptools. It says what `tests.fakes.stub_engine` says, at the same pace: token n is
``t<n> ``, each in an event of its own. Without a pace all of them are written at once.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import click
import httptools
import msgspec
import uvloop

from tests.fakes.stub_engine import MODEL, Pace, paced
from tests.fakes.stub_ollama import ENTRY, line

_TOKENS = 32
_FIXED: dict[bytes, Any] = {
    b"/health": {"status": "ok"},
    b"/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "stub"}]},
    b"/api/version": {"version": "0.12.11"},
    b"/api/tags": {"models": [ENTRY | {"modified_at": "2026-01-01T00:00:00Z"}]},
    b"/api/ps": {"models": [ENTRY | {"expires_at": "2318-01-01T00:00:00Z", "size_vram": 0, "context_length": 4096}]},
}
_encode = msgspec.json.encode
_streaming: set[Connection] = set()


class Connection(asyncio.Protocol):
    """Requests of one connection, one after the other."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        _streaming.discard(self)
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._path in _FIXED:
            self._transport.write(_whole(_encode(_FIXED[self._path])))
        elif self._path == b"/stub":
            self._transport.write(_whole(_encode({"running": len(_streaming)})))
        elif self._path == b"/":
            self._transport.write(_whole(b"Ollama is running"))
        elif self._path in {b"/v1/chat/completions", b"/api/chat"}:
            self._answer(msgspec.json.decode(b"".join(self._body)), is_openai=self._path.startswith(b"/v1"))
        else:
            self._transport.write(_whole(b"{}", status=b"404 Not Found"))

    def _answer(self, asked: dict[str, Any], *, is_openai: bool) -> None:
        count = (asked.get("max_tokens") if is_openai else asked.get("options", {}).get("num_predict")) or _TOKENS
        # Ollama streams unless it is told otherwise.
        if not asked.get("stream", not is_openai):
            self._transport.write(_openai_whole(count) if is_openai else _ollama_whole(count))
            return
        pace = paced(asked, _AT_ONCE)
        parts = _openai_stream(count) if is_openai else _ollama_stream(count)
        if pace.first_token_ms or pace.token_ms:
            _streaming.add(self)
            self._say(parts, 0, count, _now() + pace.first_token_ms, pace.token_ms)
        else:
            self._transport.write(b"".join(parts))

    def _say(self, parts: Sequence[bytes], number: int, tokens: int, at: float, every: float) -> None:
        """Write the parts from ``number`` on, each at its time; what comes after the last token comes with it."""
        while number < len(parts):
            if (wait := math.ceil(at - _now())) > 0:
                self._next = asyncio.get_running_loop().call_later(
                    wait / 1000, self._say, parts, number, tokens, at, every
                )
                return
            self._transport.write(parts[number])
            number += 1
            at += every if number < tokens else 0
        _streaming.discard(self)


_AT_ONCE = Pace()


def _now() -> int:
    """Milliseconds, as libuv counts them: of a part of one that is left it makes none, and calls again and again until it is over."""
    return round(asyncio.get_running_loop().time() * 1000)


def _whole(body: bytes, *, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _chunked(kind: bytes, events: Sequence[bytes]) -> list[bytes]:
    """An answer's parts: the head with the first event, the others, the last with the end."""
    parts = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    parts[0] = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind + parts[0]
    parts[-1] += b"0\r\n\r\n"
    return parts


def _usage(count: int) -> dict[str, int]:
    return {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count}


def _text(count: int) -> str:
    return "".join(f"t{number} " for number in range(count))


@cache
def _openai_whole(count: int) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": _text(count)}, "finish_reason": "stop"}
    return _whole(_encode(_openai("chat.completion", [choice]) | {"usage": _usage(count)}))


@cache
def _openai_stream(count: int) -> list[bytes]:
    kind = "chat.completion.chunk"
    said: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": f"t{number} "}, "finish_reason": None} for number in range(count)
    ]
    chunks = [_openai(kind, [choice]) for choice in [*said, {"index": 0, "delta": {}, "finish_reason": "stop"}]]
    chunks.append(_openai(kind, []) | {"usage": _usage(count)})
    return _chunked(b"text/event-stream", [*(b"data: %b\n\n" % _encode(each) for each in chunks), b"data: [DONE]\n\n"])


def _openai(kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": kind, "choices": choices, "id": "stub", "model": MODEL, "created": 0}


@cache
def _ollama_whole(count: int) -> bytes:
    return _whole(_encode(line(_text(count), count)))


@cache
def _ollama_stream(count: int) -> list[bytes]:
    lines = [*(line(f"t{number} ", None) for number in range(count)), line("", count)]
    return _chunked(b"application/x-ndjson", [_encode(each) + b"\n" for each in lines])


@click.command(help="Serve on loopback until interrupted.")
@click.option("--port", default=9999, show_default=True)
def main(port: int) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(serve())


if __name__ == "__main__":
    main()

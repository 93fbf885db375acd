"""HTTP to an engine: one session each, streams without a total time-out, failures as our own errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from cluster.engines.faults import error_of
from cluster.engines.poster import EngineReply, NotReached
from ollamamax.kernel.errors import EngineCrashed, EngineFailed, OllamaMaxError

CONNECT_SECONDS = 5.0
BETWEEN_BYTES_SECONDS = 300.0
"""Also the wait for the first byte, which may include loading a large model."""
QUICK = aiohttp.ClientTimeout(total=5, sock_connect=2)


def session(headers: dict[str, str], *, reuse: bool = True) -> aiohttp.ClientSession:
    """A session for one engine; ``reuse`` keeps connections open between requests."""
    return aiohttp.ClientSession(
        headers=headers,
        connector=aiohttp.TCPConnector(limit=0, force_close=not reuse),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=BETWEEN_BYTES_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        json_serialize=lambda value: msgspec.json.encode(value).decode(),
    )


def trace_headers(traceparent: str) -> dict[str, str]:
    return {"traceparent": traceparent} if traceparent else {}


class failures_of:  # noqa: N801 - it is used as a function
    """``async with`` turns what breaks between us and the ``engine`` into `EngineFailed`. A class, since every request has one."""

    __slots__ = ("_engine",)

    def __init__(self, engine: str) -> None:
        self._engine = engine

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        what = f"The {self._engine} engine"
        if isinstance(error, aiohttp.ClientConnectorError):
            raise EngineCrashed(f"{what} cannot be reached: {error.os_error.strerror or error}.") from error
        if isinstance(error, NotReached):
            raise EngineCrashed(f"{what} cannot be reached: {error}.") from error
        if isinstance(error, TimeoutError):
            raise EngineFailed(f"{what} was silent for too long.") from error
        if isinstance(error, aiohttp.ClientError | ConnectionError):
            raise EngineCrashed(f"{what} broke off: {type(error).__name__}.") from error
        if isinstance(error, msgspec.DecodeError | KeyError | TypeError):
            raise EngineFailed(f"{what} sent what we cannot read: {error}.") from error


@asynccontextmanager
async def post(
    client: aiohttp.ClientSession, url: str, body: Any, headers: dict[str, str]
) -> AsyncIterator[aiohttp.ClientResponse]:
    """POST ``body`` as JSON; once more when a connection that was kept open turns out to be closed."""
    data, headers = msgspec.json.encode(body), {"Content-Type": "application/json", **headers}
    try:
        response = await client.post(url, data=data, headers=headers)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
        response = await client.post(url, data=data, headers=headers)
    async with response:
        yield response


async def refuse(engine: str, response: aiohttp.ClientResponse | EngineReply, model: str) -> OllamaMaxError:
    """The error that a response other than 2xx stands for."""
    body = await response.read()
    message = message_of(body) or f"HTTP {response.status}"
    return error_of(engine, response.status, body.decode(errors="replace"), message, model)


def message_of(body: bytes) -> str:
    """The error in a body: OpenAI's ``{"error": {"message"}}``, Ollama's ``{"error": text}``, or the text itself."""
    try:
        found: Any = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body[:300].decode(errors="replace").strip()
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return str(error)[:1000]


async def lines(part: Callable[[], Awaitable[bytes]]) -> AsyncIterator[list[bytes]]:
    """A body's lines as they arrive, those that came together at once, without their ends; a line may be of any length.

    ``part`` gives what came since its last call, and nothing at the end.
    """
    rest = b""
    while chunk := await part():
        *whole, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
        if found := [line for each in whole if (line := each.strip())]:
            yield found
    if rest := rest.strip():
        yield [rest]


async def server_sent(part: Callable[[], Awaitable[bytes]]) -> AsyncIterator[list[bytes]]:
    """The ``data:`` payloads of a stream of server-sent events, as `lines` gives lines."""
    rest = b""
    while chunk := await part():
        *whole, rest = (rest + chunk).split(b"\n") if rest else chunk.split(b"\n")
        if found := [each[5:].strip() for each in whole if each.startswith(b"data:")]:
            yield found
    if rest.startswith(b"data:"):
        yield [rest[5:].strip()]

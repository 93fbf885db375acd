"""The little of HTTP that the inference paths need, straight on ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextvars import ContextVar
from typing import Any, TypeVar

import msgspec

from ollamamax.contract.from_client import decode as decode  # the one decoder of clients' bodies
from ollamamax.gateway import compression
from ollamamax.gateway.body_memory import Body
from ollamamax.kernel import errors

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

JSON = b"application/json"
encode = msgspec.json.Encoder().encode
SIGN = "ollamamax.sign"
"""Marks a message of a response that is a sign of life, and nothing of an answer."""
FOLLOWED = "ollamamax.followed"
"""Marks a head whose body is sent at once, so that nobody need look after it."""
NAMED = "ollamamax.headers"
"""Where a scope's headers are kept by their names, for those that follow."""
HELD = "ollamamax.held"
"""Where a scope has the `held.Body` that counts what is read of its body, where somebody counts it."""
OWNER = "ollamamax.owner"
"""Where a scope has its connection's `Owner`, of a server that reads in turns."""
_accepted: ContextVar[str | None] = ContextVar("accepted", default=None)
"""What encodings this request's client says that it takes, if it says so."""


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Owner:
    """Whose a connection is: ``name`` is its address at first, then whatever its last request told."""

    __slots__ = ("name", "waits")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.waits: Future[None] | None = None
        """What its request waits for before anything of it was looked at."""

    def leave(self) -> None:
        """The connection is closed: nobody waits any more."""
        if self.waits is not None and not self.waits.done():
            self.waits.set_exception(ClientGone())


def named(scope: Scope) -> dict[bytes, bytes]:
    """The headers by their (lower-case) names; of several with one name the first."""
    found: dict[bytes, bytes] | None = scope.get(NAMED)
    if found is None:
        found = scope[NAMED] = dict(reversed(list(scope["headers"])))
    return found


def header(scope: Scope, name: bytes) -> str | None:
    """The value of the first header of that (lower-case) name."""
    value = (scope.get(NAMED) or named(scope)).get(name)
    return None if value is None else value.decode("latin-1")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises `TooLarge` as soon as it is known to exceed ``limit`` bytes, `ClientGone` when it breaks off, and
    `TooManyBytes` when this process holds too many bytes of bodies."""
    held: Body | None = scope.get(HELD)
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if held is not None:
            held.grow(len(part))
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def left(receive: Receive) -> None:
    """Returns when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(f"The body is larger than the {limit} bytes this server accepts.", limit=limit)


def remember_encodings(scope: Scope) -> None:
    """Let `respond` know what this request's client can read."""
    if (accepted := header(scope, b"accept-encoding")) is not None:
        _accepted.set(accepted)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Headers = (),
    content_type: bytes = JSON,
    *,
    shrinks: bool = True,
) -> None:
    """One complete response, compressed where the client takes that; ``shrinks`` says whether it could pay."""
    encoding: list[tuple[bytes, bytes]] = []
    if shrinks and len(body) >= compression.LEAST_BYTES:
        encoding = [(b"vary", b"accept-encoding")]
        if compression.wants_gzip(_accepted.get()):
            encoding.append((b"content-encoding", b"gzip"))
            body = await compression.gzip(body)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            FOLLOWED: True,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", str(len(body)).encode()),
                *encoding,
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def begin(send: Send, content_type: bytes, headers: Headers, *, sign: bool = False) -> None:
    """Start a stream; proxies are asked not to hold it back. ``sign``: for a sign of life."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            SIGN: sign,
            "headers": [
                (b"content-type", content_type),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                *headers,
            ],
        }
    )


async def write(send: Send, part: bytes, *, sign: bool = False) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": True, SIGN: sign})


async def finish(send: Send, part: bytes = b"") -> None:
    """End the stream, with its last part."""
    await send({"type": "http.response.body", "body": part})


def json_decoder(kind: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(kind).decode

"""From an execution to its client: as a stream in a protocol's own form, or gathered into one answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cluster.dispatch.queue_position import Outlook
from ollamamax.contract import Delta, Final, joined
from ollamamax.gateway import http
from ollamamax.gateway.execution import Execution
from ollamamax.gateway.http import Send
from ollamamax.kernel import errors, timers
from ollamamax.kernel.tasks import end

SIGN_SECONDS = 5.0
"""The longest silence of a stream: after so long without output its client gets a sign of life. Half of what proxies and
clients commonly bear at least, so that one that is late harms nobody."""


class TooSlow(errors.OllamaMaxError):
    """The client reads too slowly. The connection is cut: there is no room in it to say why."""

    code = "client_too_slow"
    status = 408


@dataclass
class Output:
    """All that a model said; ``final`` has its counts."""

    final: Final
    text: str = ""
    thinking: str = ""
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    logprobs: list[dict[str, Any]] = field(default_factory=list)


async def gather(execution: Execution) -> Output:
    """The whole output. Raises what `Execution.next` raises."""
    deltas: list[Delta] = []
    anew = 0
    while (delta := await execution.next()) is not None:
        if execution.request.anew != anew:
            anew = execution.request.anew
            deltas.clear()
        deltas.append(delta)
    assert execution.final is not None  # noqa: S101 - next returned None
    if not deltas or execution.request.anew != anew:
        return Output(execution.final)
    all_ = joined(deltas)
    return Output(execution.final, all_.text, all_.thinking, all_.tool_calls, all_.logprobs)


class Opening:
    """The head of a streamed response, and the signs of life in it: sent with its first output, or before, to a client that waits.

    ``sign`` makes a sign of life that the protocol's clients read over. Signs are marked (`http.SIGN`): until something of an
    answer was said, another model may still be asked.
    """

    def __init__(
        self,
        send: Send,
        content_type: bytes,
        headers: list[tuple[bytes, bytes]],
        sign: Callable[[Outlook | None], bytes],
    ) -> None:
        self.send = send
        self._content_type = content_type
        self._headers = headers
        self._sign = sign
        self._begun = False
        self.said_at = time.monotonic()
        self.writing = False
        self.signing: asyncio.Task[None] | None = None

    async def tell(self, outlook: Outlook | None) -> None:
        """From now on a failure can only be told in the stream."""
        self.said_at = time.monotonic()
        await self.begin([], sign=True)
        await http.write(self.send, self._sign(outlook), sign=True)

    async def begin(self, more_headers: list[tuple[bytes, bytes]], *, sign: bool = False) -> None:
        """``sign``: something is said, and nothing of an answer yet."""
        if not self._begun:
            self._begun = True
            await http.begin(self.send, self._content_type, self._headers + more_headers, sign=sign)

    async def sign(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Give one sign of life; ``headers`` are added when nothing was written before."""
        self.said_at = time.monotonic()
        await self.begin(headers, sign=True)
        await http.write(self.send, self._sign(None), sign=True)

    async def write(self, part: bytes) -> None:
        """A whole event: signs go between two of them."""
        if self.signing is not None:
            await asyncio.wait([self.signing])
        self.said_at = time.monotonic()
        self.writing = True
        await http.write(self.send, part)
        self.writing = False

    async def finish(self, part: bytes) -> None:
        """The last part; no sign comes after it."""
        if self.signing is not None:
            await asyncio.wait([self.signing])
        self.writing = True
        await http.finish(self.send, part)

    def alive(self, headers: Callable[[], list[tuple[bytes, bytes]]]) -> _Alive:
        """``async with`` gives a sign of life whenever nothing was written for `SIGN_SECONDS`; ``headers`` are added when it is the
        first."""
        return _Alive(self, headers)


class _Alive:
    """Looks after one opening; a class, since every stream has one."""

    __slots__ = ("_headers", "_loop", "_opening", "_timer")

    def __init__(self, opening: Opening, headers: Callable[[], list[tuple[bytes, bytes]]]) -> None:
        self._opening = opening
        self._headers = headers
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> None:
        self._timer = timers.call_later(max(0.0, self._left()), self._look)

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._opening.signing is not None:
            await end([self._opening.signing])

    def _left(self) -> float:
        return self._opening.said_at + SIGN_SECONDS - time.monotonic()

    def _look(self) -> None:
        opening, left = self._opening, self._left()
        if left <= 0 and not opening.writing and (opening.signing is None or opening.signing.done()):
            opening.signing = self._loop.create_task(self._say())
        self._timer = timers.call_later(left if left > 0 else SIGN_SECONDS, self._look)

    async def _say(self) -> None:
        with contextlib.suppress(Exception):  # whoever writes next hears of it
            await self._opening.sign(self._headers())


def comment(outlook: Outlook | None) -> bytes:
    """A comment in an event stream (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).

    One line: after a blank one simple parsers take it for an event without data, and fail.
    """
    if outlook is None:
        return b": waiting\n"
    when = "" if outlook.seconds is None else f", about {outlook.seconds:.0f} s"
    return f": waiting, place {outlook.position} of {outlook.waiting}{when}\n".encode()


def space(_: Outlook | None) -> bytes:
    """In front of a line of JSON a space means nothing; an empty line would break clients that parse each line."""
    return b" "


async def stream(
    execution: Execution,
    opening: Opening,
    *,
    first: Callable[[], bytes],
    delta: Callable[[Delta], bytes],
    last: Callable[[Final], bytes],
    before_end: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Send what ``first``, ``delta`` and ``last`` make of the output; ``before_end`` is waited for before the last part goes out.

    Raises what `Execution.next` and ``before_end`` raise, and `TooSlow`.
    """
    try:
        async with opening.alive(execution.own_headers):
            await _stream(execution, opening, first, delta, last, before_end)
    except asyncio.CancelledError:
        if not execution.too_slow:
            raise
        # A write that the client does not take: only its task's end ends it.
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in one
        task.uncancel()
        raise TooSlow("The client took nothing for too long.") from None


async def _stream(
    execution: Execution,
    opening: Opening,
    first: Callable[[], bytes],
    delta: Callable[[Delta], bytes],
    last: Callable[[Final], bytes],
    before_end: Callable[[], Awaitable[None]] | None,
) -> None:
    # Made while the node works, but not sent before the first event: a failure until then has its true status.
    part = first()
    event = await execution.next()
    await opening.begin(execution.own_headers())
    while event is not None:
        part += delta(event)
        # An event may add nothing to what a protocol shows; an empty body would be a needless write.
        if part and not execution.has_more:
            await opening.write(part)
            part = b""
        event = await execution.next()
    assert execution.final is not None  # noqa: S101 - next returned None
    part += last(execution.final)
    if before_end is not None:
        await before_end()
    await opening.finish(part)

"""From an execution to its client: as a stream in a protocol's own form, or gathered into one answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable

from cluster.dispatch.queue_position import Outlook
from ollamamax.contract import Delta, Final, joined
from ollamamax.gateway import http
from ollamamax.gateway.asked import Output, Renderer
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

    Signs are marked (`http.SIGN`): until something of an answer was said, another model may still be asked. ``headers`` are those
    of whoever is asked now.
    """

    def __init__(self, send: Send, renderer: Renderer) -> None:
        self.send = send
        self.headers: list[tuple[bytes, bytes]] = []
        self._content_type = renderer.content_type
        self._sign = renderer.sign
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
            await http.begin(self.send, self._content_type, self.headers + more_headers, sign=sign)

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


async def stream(execution: Execution, opening: Opening, renderer: Renderer) -> None:
    """Send one answer as it comes. Raises what `Execution.next` and ``renderer.before_end`` raise, and `TooSlow`."""
    try:
        async with opening.alive(execution.headers):
            await _stream(execution, opening, renderer)
    except asyncio.CancelledError:
        if not execution.too_slow:
            raise
        # A write that the client does not take: only its task's end ends it.
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this runs in one
        task.uncancel()
        raise TooSlow("The client took nothing for too long.") from None


async def _stream(execution: Execution, opening: Opening, renderer: Renderer) -> None:
    choice = renderer.choice(0)
    # Made while the node works, but not sent before the first event: a failure until then has its true status.
    part = choice.first()
    event = await execution.next()
    await opening.begin(execution.headers())
    while event is not None:
        part += choice.delta(event)
        # An event may add nothing to what a protocol shows; an empty body would be a needless write.
        if part and not execution.has_more:
            await opening.write(part)
            part = b""
        event = await execution.next()
    assert execution.final is not None  # noqa: S101 - next returned None
    part += choice.end(execution.final) + renderer.done([execution.final])
    if renderer.before_end is not None:
        await renderer.before_end()
    await opening.finish(part)


async def stream_several(
    headers: Callable[[int], list[tuple[bytes, bytes]]],
    events: AsyncGenerator[tuple[int, Delta | Final], None],
    count: int,
    opening: Opening,
    renderer: Renderer,
) -> None:
    """Send ``count`` answers as they come; ``headers`` are those of the one that speaks first. Raises what ``events`` does."""
    choices = [renderer.choice(index) for index in range(count)]
    finals: dict[int, Final] = {}
    begun = False
    async with opening.alive(list), contextlib.aclosing(events):
        async for index, event in events:
            part = b""
            if not begun:
                # As with one answer: a failure until now has its true status.
                await opening.begin(headers(index))
                part = b"".join(choice.first() for choice in choices)
                begun = True
            if isinstance(event, Final):
                finals[index] = event
                part += choices[index].end(event)
            else:
                part += choices[index].delta(event)
            if part:
                await opening.write(part)
        await opening.finish(renderer.done([finals[index] for index in sorted(finals)]))

"""The events of one ticket on their way from a node to the request that waits for them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from ollamamax.contract import Delta, Event, Failure, Final, Frame

MOST_EARLY_BYTES = 256 << 10
"""About as many bytes wait until it is known which node was given the ticket; what comes beyond is asked for again."""


class TokenStream:
    """In order, each event once. One reader. ``expected`` is the number of the next event."""

    __slots__ = (
        "_early",
        "_early_bytes",
        "_events",
        "_interruption",
        "_waiter",
        "backlog",
        "ended",
        "expected",
        "heard_at",
        "node",
        "paused_at",
        "read_at",
        "reader",
        "spoke",
        "taken",
        "ticket",
        "too_slow",
    )

    def __init__(self, ticket: str, node: str) -> None:
        self.ticket = ticket
        self.node = node
        """That was given the ticket; empty as long as that is not known. Set by `give`."""
        self._early: list[tuple[str, Frame]] = []
        """Frames that came before it was known which node was given the ticket, each with the node that wrote it."""
        self._early_bytes = 0
        self.expected = 0
        self.ended = False
        """The last event has come (it may not have been read)."""
        self.heard_at = time.monotonic()
        self.spoke = False
        """Some output has come."""
        self.backlog = 0
        """About how many bytes of output wait to be read."""
        self.taken = 0
        """About how many bytes of output came in all: whoever wants the whole answer has to keep them."""
        self.paused_at: float | None = None
        """Since when its engine is paused, because nobody reads what it writes."""
        self.read_at = self.heard_at
        """When its reader last came for more."""
        self.reader: asyncio.Task[object] | None = None
        self.too_slow = False
        """Its reader was cancelled, because it did not come for too long."""
        self._events: deque[Event] = deque()
        self._interruption: Failure | None = None
        self._waiter: asyncio.Future[None] | None = None

    def give(self, node: str) -> None:
        """It is known now which node was given the ticket."""
        self.node = node
        early, self._early, self._early_bytes = self._early, [], 0
        for writer, frame in early:
            if writer == node:
                self.take(frame)

    def hold(self, writer: str, frame: Frame) -> bool:
        """Keep what ``writer`` sent until it is known whether the ticket is its own. ``False`` when there is no room for it."""
        size = _EVENT_BYTES
        for event in frame.events:
            size += _size(event) if isinstance(event, Delta) else _EVENT_BYTES
        if self._early_bytes + size > MOST_EARLY_BYTES:
            return False
        self._early_bytes += size
        self._early.append((writer, frame))
        return True

    @property
    def finished(self) -> bool:
        """The last event was read."""
        return self.ended and not self._events

    @property
    def has_output(self) -> bool:
        """`next` would return output, or its end, at once; a failure is not counted: what came before it goes out first."""
        return bool(self._events) and isinstance(self._events[0], Delta | Final) and self._interruption is None

    def take(self, frame: Frame) -> bool:
        """Take what is new of a frame. Returns ``False`` when events before it are missing."""
        self.heard_at = time.monotonic()
        known = self.expected - frame.seq
        if known < 0:
            return False
        new = frame.events[known:] if known else frame.events
        if new and not self.ended:
            self.expected += len(new)
            self._put(new)
        return True

    def end(self, failure: Failure) -> None:
        """End it from this side; later events of the node are ignored."""
        if not self.ended:
            self._put([failure])

    def unread_since(self) -> float | None:
        """Since when (monotonic) events wait for a reader that does something else; ``None`` when it waits, or nothing does."""
        return self.read_at if self._events and not self.too_slow else None

    def give_up(self) -> None:
        """End the reader, wherever it is."""
        self.too_slow = True
        if self.reader is not None:
            self.reader.cancel()

    def interrupt(self, failure: Failure) -> None:
        """Give the reader this next, once, before anything that waits; the stream itself goes on."""
        self._interruption = failure
        self._wake()

    def _put(self, events: list[Event]) -> None:
        self._events.extend(events)
        for event in events:
            if isinstance(event, Delta):
                self.spoke = True
                size = _size(event)
                self.backlog += size
                self.taken += size
        self.ended = isinstance(events[-1], Final | Failure)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def pop(self) -> Event | None:
        """The next event, if it is here and nobody interrupts: what `next` would give at once."""
        if not self._events or self._interruption is not None:
            return None
        self.read_at = time.monotonic()
        if self.reader is None:
            self.reader = asyncio.current_task()
        event = self._events.popleft()
        if isinstance(event, Delta):
            self.backlog -= _size(event)
        return event

    async def next(self) -> Event:
        """The next event; the last one is a `Final` or a `Failure`."""
        self.read_at = time.monotonic()
        if self.reader is None:
            self.reader = asyncio.current_task()
        while not self._events and self._interruption is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._interruption is not None:
            interruption, self._interruption = self._interruption, None
            return interruption
        event = self._events.popleft()
        if isinstance(event, Delta):
            self.backlog -= _size(event)
        return event


_EVENT_BYTES = 200
"""What an event takes in memory besides its text."""


_VALUE_BYTES = 64
"""And each value in a tool call or a probability."""


def _size(delta: Delta) -> int:
    size = _EVENT_BYTES + len(delta.text) + len(delta.thinking)
    if delta.logprobs or delta.tool_calls:
        size += _weight(delta.logprobs) + _weight(delta.tool_calls)
    return size + sum(_EVENT_BYTES + len(part.arguments) for part in delta.call_parts) if delta.call_parts else size


def _weight(value: Any) -> int:
    """About the memory of what was decoded, and is not nested deeply."""
    kind = type(value)
    if kind is str:
        return _VALUE_BYTES + len(value)
    if kind is list:
        return _VALUE_BYTES + sum(map(_weight, value))
    if kind is dict:
        return _VALUE_BYTES + sum(_VALUE_BYTES + len(name) + _weight(each) for name, each in value.items())
    return _VALUE_BYTES

"""What ends, from outside, whatever one call asked of nodes: its client leaves, or its time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self

from cluster.dispatch.request import Request
from ollamamax.contract import Failure
from ollamamax.gateway.call import Call
from ollamamax.gateway.callers import REVOKED
from ollamamax.gateway.http import ClientGone
from ollamamax.kernel import errors, timers

WATCHED_AFTER = 0.05
"""Seconds until somebody looks whether the client is still there: most of what is over by then needs no task for that."""
GONE = Failure("client_gone", "The client closed the connection.", 499)
LATE = Failure("deadline_exceeded", "The request did not finish within the time allowed for it.", 504)


Left = Callable[[], Coroutine[Any, Any, None]]
"""Returns when the client has closed its connection."""


class EngineError(errors.EngineFailed):
    """A failure that a node reported, with the code and status it gave."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, param=failure.param)
        self.code = failure.code
        self.status = failure.status


class Interruptions:
    """``with`` watches. ``allowed`` is how many seconds a call has, unless its client asks for less."""

    __slots__ = ("_call", "_client_left", "_failure", "_timer", "_watcher", "allowed", "deadline")

    def __init__(self, call: Call, left: Left, allowed: float) -> None:
        self._call = call
        self._client_left = left
        self._failure: Failure | None = None
        self._timer: timers.Timer
        self._watcher: asyncio.Task[None] | None = None
        self.allowed = allowed
        self.deadline = call.received_at + min(allowed, call.timeout or allowed)
        """Unix seconds."""

    def __enter__(self) -> Self:
        left = self.deadline - time.time()
        self._timer = timers.call_later(min(WATCHED_AFTER, max(0.0, left)), self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def follow(self, request: Request) -> None:
        """It ends with the others of its call."""
        self._call.caller.requests.append(request)
        if self._failure is not None:
            request.interrupt(self._failure)

    def _watch(self) -> None:
        """Most calls are over by now, and need neither a second timer nor a watcher."""
        self._timer = timers.call_later(max(0.0, self.deadline - time.time()), self._interrupt, LATE)
        self._watcher = asyncio.create_task(self._client_left())
        self._watcher.add_done_callback(self._left)

    def _left(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            self._interrupt(GONE)

    def _interrupt(self, failure: Failure) -> None:
        self._failure = failure
        for request in self._call.caller.requests:
            request.interrupt(failure)


def as_error(failure: Failure, request: Request) -> Exception:
    """What a client is told of what ended its request."""
    if failure is GONE:
        return ClientGone()
    if failure is REVOKED:
        return errors.Unauthenticated(REVOKED.message)
    if failure.code == errors.RequestCancelled.code:
        request.route.cancelled_by = request.cancelled_by
        return errors.RequestCancelled(failure.message)
    if failure is LATE and request.given_at is None:
        waited = time.time() - request.asked.received_at
        return errors.DeadlineExceeded(f"The request waited {waited:.0f} s in the queue; its time is over.")
    return EngineError(failure)

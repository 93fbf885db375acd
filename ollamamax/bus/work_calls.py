"""Calls for work: a process that orders some tells those that do it, so that they need not ask Postgres every moment whether there is any.

A call may be lost, and none crosses regions: who does the work also asks by itself every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

import redis
from django.db import transaction

from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.bus.subscription import Subscription
from ollamamax.kernel.tasks import end

_log = logs.get(__name__)


def call_on_commit(kind: str) -> None:
    """There will be work of a ``kind`` after the commit. When Redis is away this only logs."""
    transaction.on_commit(lambda: _call(kind), robust=True)


def _call(kind: str) -> None:
    try:
        regions.own().client.publish(keys.WORK_CALLS, kind)
    except redis.RedisError as error:
        _log.warning("work_not_called", kind=kind, error=type(error).__name__)


class WorkCalls:
    """Those that one process hears, while ``async with`` holds it."""

    def __init__(self, redis_url: str) -> None:
        self._called: dict[str, asyncio.Event] = {}
        self._subscription = Subscription(
            "work calls", redis_url, self._hear, channels=[keys.WORK_CALLS], load=self._call_all
        )
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._subscription.run(), name="work calls")
        return self

    async def __aexit__(self, *_: object) -> None:
        await end([self._task])

    def call(self, kind: str) -> None:
        """In this process alone: there is room for work of the kind."""
        self._event(kind).set()

    async def wait(self, kind: str, seconds: float) -> None:
        """Until there is a call that nobody has waited for yet, or ``seconds`` are over."""
        event = self._event(kind)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
        event.clear()

    def _event(self, kind: str) -> asyncio.Event:
        return self._called.setdefault(kind, asyncio.Event())

    def _hear(self, _: bytes, data: bytes) -> None:
        if (event := self._called.get(data.decode("ascii", "replace"))) is not None:
            event.set()

    async def _call_all(self) -> None:
        """What was called before it listened was not heard."""
        for event in self._called.values():
            event.set()

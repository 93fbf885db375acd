"""Listens on the node's control channel: cancel, send again, pause, resume, evict, tell the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

import msgspec
from redis.exceptions import RedisError

from cluster.worker.inbox import Inbox, evicted, restarted
from cluster.worker.log_answers import LogAnswers
from cluster.worker.outlet import Outlets
from cluster.worker.runs import Runs
from ollamamax import contract, logs
from ollamamax.bus import keys
from ollamamax.bus.subscription import Subscription

log = logs.get("cluster.worker.control")


class Listener:
    """``url`` is Redis's, as the node's own user."""

    def __init__(
        self, url: str, node: str, runs: Runs, inbox: Inbox, outlets: Outlets, log_answers: LogAnswers
    ) -> None:
        self._subscription = Subscription(
            "control", url, lambda _, data: self.obey(data), channels=[keys.node_control(node)]
        )
        self._runs = runs
        self._inbox = inbox
        self._outlets = outlets
        self._log_answers = log_answers
        self._questions: set[asyncio.Task[None]] = set()

    @property
    def listening(self) -> asyncio.Event:
        """Set while the node hears what it is told."""
        return self._subscription.listening

    async def listen(self) -> None:
        """Never returns."""
        await self._subscription.run()

    def obey(self, data: bytes) -> None:
        """Do what one message says; an unreadable one is ignored."""
        try:
            control = contract.decode_control(data)
        except msgspec.DecodeError as error:
            log.warning("control_unreadable", error=str(error))
            return
        if control.verb == "cancel":
            if not self._runs.knows(control.ticket):
                self._inbox.cancel(control.ticket)
            else:
                self._runs.cancel(control.ticket)
            return
        if control.verb == "evict":
            for ticket in list(self._runs.running):
                self._runs.cancel(ticket, evicted())
            return
        if control.verb == "log":
            self._ask(self._log_answers.answer(control))
            return
        run = self._runs.find(control.ticket)
        if control.verb in {"pause", "resume"}:
            if run is not None:
                run.going.clear() if control.verb == "pause" else run.going.set()
            return
        if run is not None:
            again = run.sent.sent[control.seq :]
            if again:
                self._outlets.to(control.gateway).frame(contract.Frame(control.ticket, control.seq, again))
            return
        self._ask(self._unknown(control))

    def _ask(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _unknown(self, control: contract.Control) -> None:
        """A ticket that neither waits nor ran here lately was lost with the node's former process."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            if not await self._inbox.holds(control.ticket):
                frame = contract.Frame(control.ticket, control.seq, [restarted()])
                self._outlets.to(control.gateway).frame(frame)

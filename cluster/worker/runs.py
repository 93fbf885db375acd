"""The tickets this node runs or has run a moment ago: from a claimed ticket to the last of its events."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cluster.engines.base import EngineAdapter, PromptCount
from cluster.scheduling.prompt import estimate_tokens
from cluster.scheduling.silence import ModelPace
from cluster.worker import memory
from cluster.worker.outlet import FIRST_SECONDS, GATHER_SECONDS, Outlets, Sent
from ollamamax import contract, logs
from ollamamax.kernel import timers
from ollamamax.kernel.errors import EngineFailed, OllamaMaxError
from ollamamax.observability.instruments import counter

KEEP_SECONDS = 60.0
KEEP_MOST = 5_000
"""Ended tickets whose events can be sent again; a node that runs hundreds a second must not fill its memory with them."""
CANCELLED_STATUS = 499

log = logs.get("cluster.worker.runs")
_ENDED = counter("ollamamax_agent_tickets_total")
_TICKETS = {outcome: _ENDED.labels(outcome) for outcome in ("ok", "cancelled", "failed")}


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class TicketRun:
    """One ticket here. ``reason`` says why it was stopped, when it was."""

    ticket: contract.Ticket
    sent: Sent
    task: asyncio.Task[None] | None = None
    began: bool = False
    going: asyncio.Event = field(default_factory=_set)
    """Cleared while the client cannot take more."""
    reason: contract.Failure | None = None
    heard_at: float = 0.0
    """When the engine said something last, or could begin to (the loop's time)."""
    loading: bool = False
    """The model was not in memory yet when it was looked at last."""
    spoke: bool = False
    to_read: int = 0
    """About how many tokens the prompt has."""
    tokens: int = 0
    meter: PromptCount = field(default_factory=PromptCount)

    @property
    def whole(self) -> bool:
        """Whether it is to embed or rank texts, for which the engine says nothing until all of them are read."""
        return self.ticket.inference.kind in {"embed", "rerank"}


class Runs:
    """``pick`` gives the engine for a version; ``tenant`` is the node's own. ``changed`` is set whenever a run ends."""

    def __init__(self, outlets: Outlets, pick: Callable[[contract.Ticket], EngineAdapter], tenant: str) -> None:
        self._outlets = outlets
        self._pick = pick
        self._tenant = tenant
        self._runs: dict[str, TicketRun] = {}
        self._ended: deque[tuple[float, TicketRun]] = deque()
        self._gateways: Counter[str] = Counter()
        self._cancelled: dict[str, float] = {}
        self._claimed: dict[str, Sent] = {}
        self.running: dict[str, TicketRun] = {}
        self.changed = asyncio.Event()
        self.paces: dict[str, ModelPace] = {}
        self.progress: dict[str, float] = {}
        """Version -> when its engine said something last."""
        self.quarantined: dict[str, str] = {}
        """Versions that are not run, and why."""
        self.tokens = 0
        """Tokens generated since the process began."""
        self.delay = 0.0
        """Seconds by which each part of an answer is later, for as long as an experiment has it so."""

    def knows(self, ticket: str) -> bool:
        return ticket in self._runs

    def find(self, ticket: str) -> TicketRun | None:
        return self._runs.get(ticket)

    def start(self, ticket: contract.Ticket, raw: bytes) -> None:
        """Run ``ticket``; once, however often it comes."""
        if ticket.id in self._runs:
            return
        # From here on it is watched: before its task begins, too.
        run = TicketRun(ticket, Sent(ticket.id, raw), heard_at=asyncio.get_running_loop().time())
        self._runs[ticket.id] = self.running[ticket.id] = run
        self._claimed[ticket.id] = run.sent
        self._gateways[ticket.gateway] += 1
        if self._cancelled.pop(ticket.id, None) is not None:
            run.reason = cancelled()
        run.task = asyncio.create_task(self._run(run), name=f"run {ticket.id}")

    def excuse(self, seconds: float) -> None:
        """So long this process stood still: nobody was silent meanwhile."""
        for run in self.running.values():
            run.heard_at += seconds
        self.progress = {version: at + seconds for version, at in self.progress.items()}

    def claimed(self) -> int:
        """How many tickets are on the node's list of claimed ones, as far as they came here: those whose end is not written."""
        self._claimed = {ticket: sent for ticket, sent in self._claimed.items() if not sent.written}
        return len(self._claimed)

    def cancel(self, ticket: str, reason: contract.Failure | None = None) -> bool:
        """Stop a run at once; a ticket that has not come yet ends when it comes. Whether it ran."""
        run = self.running.get(ticket)
        if run is None:
            if ticket not in self._runs:
                self._cancelled[ticket] = time.monotonic()
            return False
        if run.reason is None:
            run.reason = reason or cancelled()
            # A task that is cancelled before its first step never enters its body; that body reads the reason.
            if run.began and run.task is not None:
                run.task.cancel()
        return True

    def forget_old(self) -> None:
        """Forget what ended, or was cancelled unseen, long ago, and what ended before many others."""
        limit = time.monotonic() - KEEP_SECONDS
        # In the order of their ends, so that a look each second costs nothing for all that stay.
        # One whose end could not be written yet still is on the list of claimed ones: forgotten, it would be run again.
        while (
            self._ended
            and (self._ended[0][0] <= limit or len(self._ended) > KEEP_MOST)
            and self._ended[0][1].sent.written
        ):
            _, run = self._ended.popleft()
            del self._runs[run.ticket.id]
            self._gateways[run.ticket.gateway] -= 1
        self._gateways = +self._gateways
        # A ticket may wait in the inbox for long; its own deadline ends it there.
        self._cancelled = {k: at for k, at in self._cancelled.items() if at > limit - 3600}
        self._outlets.keep(set(self._gateways))

    async def _run(self, run: TicketRun) -> None:
        run.began = True
        try:
            end = await self._last_event(run)
        except asyncio.CancelledError:
            end = run.reason or contract.Failure("cancelled", "The node stopped the request.", CANCELLED_STATUS)
        self._end(run, end)

    async def _last_event(self, run: TicketRun) -> contract.Final | contract.Failure:
        left = run.ticket.left if run.ticket.left is not None else run.ticket.deadline - time.time()
        if run.reason is not None:
            return run.reason
        if left <= 0:
            return _late()
        if (hangs := self.quarantined.get(run.ticket.version)) is not None:
            return contract.Failure("unavailable", hangs, 503)
        # The run's own task may be cancelled while it waits for anything below; `_run` then says why.
        late = timers.call_later(left, self.cancel, run.ticket.id, _late())
        try:
            return await self._generate(run)
        except TimeoutError:
            return contract.Failure("engine_failed", "The engine did not answer in time.")
        except OllamaMaxError as error:
            return contract.Failure(error.code, contract.told(error.message), error.status, error.fields.get("param"))
        except Exception:  # a defect in one request must not end the node
            log.exception("run_failed", ticket=run.ticket.id)
            return contract.Failure("engine_failed", "The node failed to run the request.")
        finally:
            late.cancel()

    async def _generate(self, run: TicketRun) -> contract.Final:
        ticket = run.ticket
        engine = self._pick(ticket)
        ignored = memory.leave_out_keep_alive(ticket, self._tenant)
        outlet = self._outlets.to(ticket.gateway)
        loaded = engine.loaded(ticket.version)
        started = contract.Started(time.time(), loaded, engine.context(ticket.version), ignored)
        outlet.put(run.sent, started, hold=FIRST_SECONDS)
        hold = 0.0
        now = asyncio.get_running_loop().time
        run.heard_at, run.loading, run.to_read = now(), not loaded, estimate_tokens(ticket.inference)
        pace = self.paces.setdefault(ticket.version, ModelPace())
        if (end := await memory.load_or_unload(engine, ticket)) is not None:
            end.keep_alive_ignored = ignored
            return end
        output = engine.generate(
            ticket.version, ticket.model, ticket.inference, ticket.traceparent, run.meter, ticket.load
        )
        async with contextlib.aclosing(output) as events:
            async for event in events:
                if self.delay:
                    await asyncio.sleep(self.delay)
                heard = now()
                gap = heard - run.heard_at
                run.heard_at = self.progress[ticket.version] = heard
                if not run.spoke:
                    if not run.loading:
                        pace.read(gap, run.to_read, whole=run.whole)
                    run.spoke, run.loading = True, False
                elif gap > pace.gap:
                    pace.heard(gap)
                if isinstance(event, contract.Final):
                    if not engine.hosts_blobs:
                        # Others count what is continued as part of the prompt.
                        event.prompt_tokens = max(0, event.prompt_tokens - ticket.inference.continued_tokens)
                        event.cached_tokens = min(event.cached_tokens, event.prompt_tokens)
                    self.tokens += max(0, event.completion_tokens - run.tokens)
                    event.keep_alive_ignored = ignored
                    return event
                self.tokens += event.tokens
                run.tokens += event.tokens
                outlet.put(run.sent, event, hold=hold)
                if ticket.inference.delivery != "stream":
                    hold = GATHER_SECONDS
                # Not asked for more, the engine waits when its connection is full.
                if not run.going.is_set():
                    await run.going.wait()
                    run.heard_at = now()
        raise EngineFailed("The engine ended without an answer.")

    def _end(self, run: TicketRun, end: contract.Final | contract.Failure) -> None:
        if isinstance(end, contract.Failure):
            end.prompt_tokens, end.completion_tokens = run.meter.prompt_tokens, run.tokens
        self._ended.append((time.monotonic(), run))
        run.sent.done = msgspec.json.encode(_done(run, end))
        self._outlets.to(run.ticket.gateway).put(run.sent, end)
        self.running.pop(run.ticket.id, None)
        self.changed.set()
        done = _done(run, end)
        _TICKETS[done["outcome"]].inc()
        log.info("run_ended", ticket=run.ticket.id, trace=run.ticket.traceparent[3:35], **done)


def cancelled() -> contract.Failure:
    return contract.Failure("cancelled", "The request was cancelled.", CANCELLED_STATUS)


def _late() -> contract.Failure:
    return contract.Failure("deadline_exceeded", "The request's time ran out on the node.", 504)


def _done(run: TicketRun, end: contract.Final | contract.Failure) -> dict[str, Any]:
    """How a ticket ended, for its line in the done stream."""
    if isinstance(end, contract.Final):
        return {
            "outcome": "ok",
            "finish": end.finish_reason,
            "prompt_tokens": end.prompt_tokens,
            "completion_tokens": end.completion_tokens,
            "cached_tokens": end.cached,
        }
    outcome = "cancelled" if end.code == "cancelled" else "failed"
    return {
        "outcome": outcome,
        "finish": end.code,
        "prompt_tokens": run.meter.prompt_tokens,
        "completion_tokens": run.tokens,
    }

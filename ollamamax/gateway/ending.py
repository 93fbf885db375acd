"""Where every request of a client ends: one line in the log, one count, and where its tenant is known one usage record."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Sequence

from cluster.dispatch.dispatcher import Dispatcher
from cluster.dispatch.request import Request
from cluster.fleet.node_allowance import Allowance
from ollamamax import logs
from ollamamax.contract import Outcome, UsageRecord
from ollamamax.contract.tables import Priority
from ollamamax.gateway import measuring, tracing
from ollamamax.gateway.asked import Notes, tidy
from ollamamax.gateway.call import Call
from ollamamax.kernel import errors, trace

NOT_RECORDED = (b"x-ollamamax-recorded", b"0")
"""Tells a client that nothing is known under the id of its request."""
_MOST_TENANTS = 10_000
_SETTLED_WITHIN = 10.0
"""Seconds within which what a client left is settled."""


class _RequestLine(logs.LoggedFacts):
    """How one request ended. ``ignored``: fields of its body that had no effect."""

    request: str
    trace: str
    tenant: str
    key: str
    api: str
    model: str
    node: str
    outcome: Outcome
    error: str
    status: int
    prompt_tokens: int
    completion_tokens: int
    duration_ms: float
    attempts: int
    ignored: tuple[str, ...] = ()


class Refusals:
    """``most`` refused requests of each tenant are recorded in a minute; of those that are nobody's as many are logged."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[str, Allowance] = {}

    def take(self, tenant: str) -> bool:
        """Whether one more is recorded."""
        allowance = self._of.get(tenant)
        if allowance is None:
            if len(self._of) >= _MOST_TENANTS:
                self._of.clear()
            allowance = self._of[tenant] = Allowance(self._most / 60, self._most)
        return allowance.take(1)


class Ending:
    """Of one request of a client: what is known of it, as it becomes known, until `finish`.

    ``api`` is its route, or ``other``. A route that runs nothing, such as a list, is logged and counted, and not recorded.
    """

    __slots__ = (
        "_begun",
        "_is_kept",
        "_refusals",
        "api",
        "call",
        "dispatcher",
        "error",
        "inside",
        "key",
        "notes",
        "parent",
        "received_at",
        "request",
        "requests",
        "tenant",
        "traceparent",
    )

    def __init__(self, request: str, api: str, traceparent: str, received_at: float, refusals: Refusals) -> None:
        self.request = request
        self.api = api
        self.traceparent = traceparent
        self.received_at = received_at
        self._refusals = refusals
        self.parent: str | None = None
        """What its client sent as ``traceparent``."""
        self.dispatcher: Dispatcher | None = None
        self.tenant = ""
        self.key = ""
        self.notes = Notes()
        self.call: Call | None = None
        """As soon as it is known who asks."""
        self.requests: Sequence[Request] = ()
        """What was asked of nodes for it."""
        self.inside = False
        """It was made inside this process, by somebody who asks again when there is no room."""
        self.error: errors.OllamaMaxError | None = None
        self._is_kept: bool | None = None
        self._begun = False

    @property
    def was_given(self) -> bool:
        """Whether a node, or a place in the queue, was had for it under its own id."""
        return any(each.id == self.request and (each.node or each.ended is not None) for each in self.requests)

    def refused(self, error: errors.OllamaMaxError, *, begun: bool = False) -> list[tuple[bytes, bytes]]:
        """It ends with an error: the headers that say so when no record is left. ``begun``: something of an answer was said, whose record
        there is."""
        self.error, self._begun = error, begun
        return [] if self.was_given or (self.tenant and self._keeps()) else [NOT_RECORDED]

    def finish(self, status: int) -> None:
        """It is over, and the client has (or had) ``status``; safe to call once."""
        running = [each for each in self.requests if each.ended is None and each.node]
        if running and self.dispatcher is not None:
            # Its client left, and the node has not said yet what it did.
            loop = asyncio.get_running_loop()
            for each in running:
                each.settled = loop.create_future()
            self.dispatcher.later(self._finish_after(running, status))
        else:
            self._finish(status)

    async def _finish_after(self, running: Sequence[Request], status: int) -> None:
        await asyncio.wait([each.settled for each in running if each.settled is not None], timeout=_SETTLED_WITHIN)
        self._finish(status)

    def _keeps(self) -> bool:
        """Whether it is logged, and recorded where its tenant is known: below the rate of what is refused."""
        if self._is_kept is None:
            waited = any(each.route.waiting is not None for each in self.requests)
            asks_again = self.inside and self.error is not None and self.error.status in {429, 503}
            self._is_kept = waited or (not asks_again and self._refusals.take(self.tenant))
        return self._is_kept

    def _finish(self, status: int) -> None:
        last: Request | None = None
        for each in self.requests:
            if each.ended is not None:
                last = each
        outcome, code = self._outcome(last)
        status = self.error.status if self.error is not None else status or 499
        what = self.requests, self.received_at, outcome, code, status
        traced = tracing.ended(self.traceparent, self.parent, self.api, self.tenant, *what)
        measuring.ended(self.api, self.tenant, *what, traced)
        if self.dispatcher is not None:
            self.dispatcher.counted.add(f"{self.api} {outcome} {status}")
            if self.notes.ignored.names:
                self.dispatcher.counted.add(f"{self.api} ignored_fields", len(self.notes.ignored.names))
        if outcome != "ok" and not self.was_given and not self._begun:
            if not self._keeps():
                return
            if self.tenant and self.dispatcher is not None:
                self.dispatcher.record(self._record(outcome, code, status))
        self._tell(last, outcome, code, status)

    def _outcome(self, last: Request | None) -> tuple[Outcome, str]:
        if (error := self.error) is None:
            return "ok", ""
        if last is not None and last.ended is not None and last.node and last.ended.outcome != "ok":
            return last.ended.outcome, error.code
        return ("cancelled" if error.status == 499 else "refused"), error.code

    @property
    def _priority(self) -> Priority:
        return "normal" if self.call is None else self.call.priority

    def _record(self, outcome: Outcome, code: str, status: int) -> UsageRecord:
        route = next((each.route for each in reversed(self.requests)), None)
        return UsageRecord(
            request=self.request,
            tenant=self.tenant,
            key=self.key,
            model=tidy(self.notes.model[:400]),
            version=next((each.asked.version for each in reversed(self.requests)), ""),
            node="",
            node_name="",
            api=self.api,
            trace=trace.trace_id(self.traceparent),
            received_at=self.received_at,
            prompt_tokens=0,
            completion_tokens=0,
            queue_ms=None,
            first_token_ms=None,
            duration_ms=round((time.time() - self.received_at) * 1000, 3),
            outcome=outcome,
            error=code[:100],
            attempts=0,
            priority=self._priority,
            user=tidy(self.notes.user),
            status=status,
            metadata=self.notes.metadata,
            route=route,
        )

    def _tell(self, last: Request | None, outcome: Outcome, code: str, status: int) -> None:
        prompt_tokens = completion_tokens = attempts = 0
        for each in self.requests:
            prompt_tokens += each.prompt_tokens
            completion_tokens += each.completion_tokens
            attempts += each.attempt.number
        logs.gather(
            _RequestLine(
                "request",
                __name__,
                "info",
                datetime.datetime.now(datetime.UTC),
                self.request,
                trace.trace_id(self.traceparent),
                self.tenant,
                self.key,
                self.api,
                last.asked.model if last is not None else tidy(self.notes.model[:400]),
                last.node if last is not None else "",
                outcome,
                code,
                status,
                prompt_tokens,
                completion_tokens,
                round((time.time() - self.received_at) * 1000, 1),
                attempts,
                tuple(self.notes.ignored.names),
            )
        )

"""One inference request from admission to settlement, whatever protocol asked for it."""

from __future__ import annotations

import asyncio
import time
from typing import Self

import msgspec

from cluster.dispatch.dispatcher import Dispatcher
from cluster.dispatch.queue import Tell
from cluster.dispatch.request import Interrupted, Request
from cluster.scheduling.load import avoided
from models_registry.fallback import next_time
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import Delta, Failure, Final, Inference, Outcome, Started
from ollamamax.contract.ignored import Ignored
from ollamamax.contract.tables import KnownTenant, Listed, Priority
from ollamamax.gateway import rate_limits
from ollamamax.gateway.callers import REVOKED, Caller
from ollamamax.gateway.catalog import full_name
from ollamamax.gateway.ending import Ending
from ollamamax.gateway.http import ClientGone, Receive
from ollamamax.gateway.intake import Place
from ollamamax.kernel import errors, timers, trace
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.limits import Limits
from ollamamax.kernel.principal import Principal

_log = logs.get(__name__)
_CANCEL_PATIENCE = 3.0
_WATCHED_AFTER = 0.05
"""Seconds until somebody looks whether the client is still there: most of what is over by then needs no task for that."""
_GONE = Failure("client_gone", "The client closed the connection.", 499)
_LATE = Failure("deadline_exceeded", "The request did not finish within the time allowed for it.", 504)


class EngineError(errors.EngineFailed):
    """A failure that a node reported, with the code and status it gave."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, param=failure.param)
        self.code = failure.code
        self.status = failure.status


class Call(msgspec.Struct, eq=False):
    """What a protocol knows of a request before it is run."""

    principal: Principal
    api: str
    received_at: float
    traceparent: str
    id: str = msgspec.field(default_factory=new_id)
    tenant: KnownTenant = msgspec.field(default_factory=KnownTenant)
    limits: Limits = msgspec.field(default_factory=Limits)
    """Of the key."""
    priority: Priority = "normal"
    idle_only: bool = False
    """Take a slot that nobody waits for, or none."""
    timeout: float | None = None
    """Seconds, when the client asks for less than the installation allows."""
    may_fall_back: bool = True
    """Whether another model may do it; not when it is about the model itself."""
    tried_until: float | None = None
    """The fallbacks up to so many seconds in the queue were tried; ``None``: it waits without being left for others."""
    kept: Request | None = None
    """The one that keeps its place in the queue, and waits on."""
    instead_of: Request | None = None
    """The one that keeps its place until this one has a slot; that it has at once, or not at all."""
    strict: bool = False
    """Whether fields that nobody knows are refused, instead of ignored."""
    ignored: Ignored = msgspec.field(default_factory=Ignored)
    """Filled before the response begins."""
    caller: Caller | None = None
    """Whose request it is, in a gateway's hands."""
    ending: Ending | None = None
    """Where it ends."""
    highest: Priority = "normal"
    """The class that its key may ask for."""
    affinity: str = ""
    """Requests with the same one are at home on the same node."""
    place: Place | None = None
    """It is left as soon as something of it has a slot."""

    def headers(self) -> list[tuple[bytes, bytes]]:
        own = [(b"x-request-id", self.id.encode()), (b"traceparent", self.traceparent.encode())]
        return own + self.ignored.headers() if self.ignored else own


class Execution:
    """``async with`` admits it; `next()` gives the output; leaving early cancels the work on the node.

    Settled exactly once in every case. `final` and `request` hold counts and times after the end.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        call: Call,
        model: str,
        listed: Listed,
        inference: Inference,
        deadline: float,
        receive: Receive,
        tell: Tell | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._receive = receive
        self._tell = tell
        self._watchers: list[asyncio.Task[None] | timers.Timer] = []
        self.call = call
        self.model = model
        self.final: Final | None = None
        self.keep_alive_ignored = False
        """Whether the node that runs it, which is not its tenant's, left its ``keep_alive`` out."""
        self._at_first: float | None = None
        """Seconds in the queue until another model is asked."""
        if call.tried_until is not None and call.may_fall_back:
            self._at_first = next_time(listed.fallbacks, call.tried_until)
        self.request = call.kept or self._new(call, model, listed, inference, deadline)

    def _new(self, call: Call, model: str, listed: Listed, inference: Inference, deadline: float) -> Request:
        request = Request(
            id=call.id,
            tenant=call.principal.tenant or "",
            key=call.principal.id,
            model=listed.alias_of or model,
            version=listed.version,
            api=call.api,
            traceparent=trace.below(call.traceparent),
            trace=trace.trace_id(call.traceparent),
            received_at=call.received_at,
            deadline=call.received_at + min(deadline, call.timeout or deadline),
            allowed=deadline,
            inference=inference,
            profile=listed.profile,
            priority=call.priority,
            idle_only=call.idle_only,
            at_once=call.instead_of is not None,
            waits_for_nodes=not (call.tried_until is not None and call.may_fall_back and listed.fallbacks),
            fetched_by="" if listed.engine else listed.owner,
            kept_by=listed.engine,
            weight=call.tenant.weight,
            key_limits=call.limits,
            tenant_limits=call.tenant.limits,
            affinity=call.affinity,
        )
        if call.ending is not None:
            request.user, request.metadata = call.ending.user, call.ending.metadata
        self._dispatcher.router.expect(request)
        if call.caller is not None:
            call.caller.requests.append(request)
        if call.instead_of is not None:
            # So much was taken from the limits; it is corrected when this one is settled.
            request.expected_prompt_tokens = call.instead_of.expected_prompt_tokens
            request.expected_completion_tokens = call.instead_of.expected_completion_tokens
        return request

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the response, once it is admitted."""
        return self.call.headers() + self.own_headers()

    def own_headers(self) -> list[tuple[bytes, bytes]]:
        """Those that are not known before."""
        found = self.route_headers() + self.limit_headers()
        if self.keep_alive_ignored:
            found.append((b"x-ollamamax-keep-alive", b"ignored"))
        return found

    def limit_headers(self) -> list[tuple[bytes, bytes]]:
        """How far the limits of key and tenant are from being reached; none where none is set."""
        levels = self.request.levels
        return rate_limits.headers(levels, self.call.api, time.time()) if levels else []

    def route_headers(self) -> list[tuple[bytes, bytes]]:
        """Where it runs, and why; none for a tenant that has them switched off."""
        if not self.call.tenant.show_route:
            return []
        return [
            (b"x-ollamamax-node", self.request.node_name.encode("ascii", "replace")),
            (b"x-ollamamax-version", self.request.version.encode()),
            (b"x-ollamamax-route", self.request.attempts[-1].reason.encode()),
            *([(b"x-ollamamax-continued", b"%d" % self.request.continued)] if self.request.continued else []),
        ]

    async def __aenter__(self) -> Self:
        """Returns when a node has it. Raises what `Dispatcher.admit` raises (`Waited`, if its call says so), `ClientGone`, and
        `DeadlineExceeded`."""
        remaining = max(0.0, self.request.deadline - time.time())
        self._watchers = [
            timers.call_later(_WATCHED_AFTER, self._watch),
            timers.call_later(remaining, self.request.interrupt, _LATE),
        ]
        try:
            await self._dispatcher.admit(self.request, self._tell, self._at_first)
        except BaseException as error:
            for watcher in self._watchers:
                watcher.cancel()
            if not isinstance(error, Interrupted):
                raise
            raise _as_error(error.failure, self.request) from None
        if self.call.place is not None:
            self.call.place.leave()
        if self.call.instead_of is not None:
            self._dispatcher.give_up(self.call.instead_of, "no_capacity", 503)
        return self

    def _watch(self) -> None:
        gone = asyncio.create_task(_disconnected(self._receive))
        gone.add_done_callback(self._left)
        self._watchers.append(gone)

    def _left(self, watcher: asyncio.Task[None]) -> None:
        if not watcher.cancelled():
            self.request.interrupt(_GONE)

    @property
    def too_slow(self) -> bool:
        """Its reader was cancelled because the client takes nothing."""
        return self.request.stream is not None and self.request.stream.too_slow

    @property
    def has_more(self) -> bool:
        """Whether `next` would return at once, so that the client can have both in one write."""
        return self.request.stream is not None and self.request.stream.has_output

    async def next(self) -> Delta | None:
        """The next output, or ``None`` at the end. Raises `ClientGone`, or `EngineError` with what the node reported."""
        request = self.request
        while True:
            try:
                event = await self._dispatcher.next(request)
            except Interrupted as interruption:
                raise _as_error(interruption.failure, request) from None
            if isinstance(event, Delta):
                if request.first_token_at is None and not request.came_at_once:
                    request.first_token_at = time.time()
                request.completion_tokens += event.tokens
                return event
            if isinstance(event, Started):
                self.keep_alive_ignored = event.keep_alive_ignored
                asked, profile = request.inference.options.num_ctx, request.profile
                request.reload_avoided = avoided(profile, asked, loaded=event.loaded, context=event.context)
            elif isinstance(event, Final):
                self._count(event)
                self.final = request.final = event
                if request.continued:
                    self.keep_alive_ignored = event.keep_alive_ignored
                # Its slot is free now, however long the client takes to read the rest.
                self._settle("ok", "", 200)
                return None
            if isinstance(event, Failure):
                self._count(event)
                raise _as_error(event, request)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        code, status = (error.code, error.status) if isinstance(error, errors.OllamaMaxError) else ("client_gone", 499)
        if self.final is not None:
            if self.request.reload_avoided:
                self._dispatcher.reloads_avoided.add(keys.named(self.request.tenant, full_name(self.request.model)))
        elif isinstance(error, EngineError) and (self.request.stream is None or self.request.stream.finished):
            self._settle("node_lost" if code == "node_lost" else "failed", code, status)
        else:
            # The node still works on it: a client that left, a deadline, or a fault of ours.
            self._dispatcher.later(
                self._cancel("failed" if isinstance(error, EngineError) else "cancelled", code, status)
            )

    async def _cancel(self, outcome: Outcome, error: str, status: int) -> None:
        """Stop the node's work and take its last counts into the record."""
        request = self.request
        self._dispatcher.cancel(request)
        try:
            async with asyncio.timeout(_CANCEL_PATIENCE):
                while request.stream is not None and not request.stream.finished:
                    event = await request.stream.next()
                    if isinstance(event, Delta):
                        request.completion_tokens += event.tokens
                    elif isinstance(event, Started):
                        request.began(event)
                    else:
                        self._count(event)
                        break
        except TimeoutError:
            _log.warning("cancel_unanswered", request=request.id, node=request.node)
        self._settle(outcome, error, status)

    def _count(self, event: Final | Failure) -> None:
        self.request.prompt_tokens = max(self.request.prompt_tokens, event.prompt_tokens)
        self.request.completion_tokens = max(self.request.completion_tokens, event.completion_tokens)

    def _settle(self, outcome: Outcome, error: str, status: int) -> None:
        self._dispatcher.settle(self.request, outcome, error, status)


def _as_error(failure: Failure, request: Request) -> Exception:
    if failure is _GONE:
        return ClientGone()
    if failure is REVOKED:
        return errors.Unauthenticated(REVOKED.message)
    if failure.code == errors.RequestCancelled.code:
        request.route.cancelled_by = request.cancelled_by
        return errors.RequestCancelled(failure.message)
    if failure is _LATE and request.given_at is None:
        waited = time.time() - request.received_at
        return errors.DeadlineExceeded(f"The request waited {waited:.0f} s in the queue; its time is over.")
    return EngineError(failure)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue

"""One inference of one model, from admission to settlement, whatever protocol asked for it."""

from __future__ import annotations

import asyncio
import time
from typing import Self

import msgspec

from cluster.dispatch.dispatcher import Dispatcher
from cluster.dispatch.queue import Tell
from cluster.dispatch.request import Interrupted, Request, Submission
from cluster.dispatch.spending import bounded
from cluster.scheduling import load
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import Delta, Failure, Final, Inference, Outcome, Started
from ollamamax.contract.budgets import FREE
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import Listed
from ollamamax.gateway import rate_limits
from ollamamax.gateway.call import Call
from ollamamax.gateway.catalog import full_name
from ollamamax.gateway.interruptions import EngineError, Interruptions, as_error
from ollamamax.gateway.lengths import within_lengths
from ollamamax.kernel import errors, trace

_log = logs.get(__name__)
_CANCEL_PATIENCE = 3.0
ONCE_TOKENS = 64
"""Answers of at most so many tokens are had from the engine in one piece, where the client does not stream."""
ONCE_PATIENCE = 60.0
"""Seconds that a model's profile must give an engine until its first output, so that such an answer fits in."""


class Execution:
    """``async with`` admits it; `next()` gives the output; leaving early cancels the work on the node.

    Settled exactly once in every case. `final` and `request` hold counts and times after the end.

    ``whole``: its client reads nothing before the end. ``tell`` is called while it waits. ``has_others``: another model is asked when this
    one has no node. ``instead_of`` keeps its place in the queue until this one has a slot, which that has at once or not at all.
    Raises `ContextTooLong` when it asks for more than the model's profile gives.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        interruptions: Interruptions,
        call: Call,
        model: str,
        listed: Listed,
        inference: Inference,
        *,
        whole: bool = False,
        tell: Tell | None = None,
        has_others: bool = False,
        instead_of: Request | None = None,
    ) -> None:
        call.caller.targets.add(listed.model)
        load.check(listed.profile, inference.options.num_ctx)
        inference = within_lengths(inference, (call.limits, call.tenant.limits))
        if whole and inference.kind in {"chat", "completion"}:
            delivery = "once" if _is_short(inference, listed.profile) and not call.exact else "whole"
            inference = msgspec.structs.replace(inference, delivery=delivery)
        if any(budget.hard for budget in call.budgets):
            inference = bounded(inference, listed.profile.num_ctx)
        self._dispatcher = dispatcher
        self._tell = tell
        self._instead_of = instead_of
        self.call = call
        self.model = model
        self.at_first: float | None = None
        """Seconds in the queue until another model is asked."""
        self.final: Final | None = None
        self.deprecated = listed.deprecated
        self.keep_alive_ignored = False
        """Whether the node that runs it, which is not its tenant's, left its ``keep_alive`` out."""
        asked = Submission(
            tenant=call.principal.tenant or "",
            key=call.principal.id,
            model=listed.alias_of or model,
            version=listed.version,
            api=call.api,
            traceparent=trace.below(call.traceparent),
            trace=trace.trace_id(call.traceparent),
            received_at=call.received_at,
            deadline=interruptions.deadline,
            allowed=interruptions.allowed,
            inference=inference,
            profile=listed.profile,
            idle_only=call.idle_only,
            shadow_of=call.shadow_of,
            at_once=instead_of is not None,
            waits_for_nodes=not has_others,
            fetched_by="" if listed.engine else listed.owner,
            kept_by=listed.engine,
            weight=call.tenant.weight,
            key_limits=call.limits,
            tenant_limits=call.tenant.limits,
            budgets=call.budgets,
            price=call.prices.price_of(full_name(listed.alias_of or model)) if call.budgets else FREE,
            affinity=call.affinity,
            user=call.notes.user,
            metadata=call.notes.metadata,
            prompt_key=call.tenant.prompt_key,
        )
        self.request = Request.of(call.id, asked, call.priority)
        dispatcher.router.expect(self.request)
        if instead_of is not None:
            # So much was taken from the limits; it is corrected when this one is settled.
            self.request.expected_prompt_tokens = instead_of.expected_prompt_tokens
            self.request.expected_completion_tokens = instead_of.expected_completion_tokens
        interruptions.follow(self.request)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the response that are not known before it is admitted: where it runs, and why, unless its tenant has those switched
        off, and how far the limits of key and tenant are from being reached, where any is set."""
        request, found = self.request, []
        if self.call.tenant.show_route:
            found = [
                (b"x-ollamamax-node", request.node_name.encode("ascii", "replace")),
                (b"x-ollamamax-version", request.asked.version.encode()),
                (b"x-ollamamax-route", request.route.attempts[-1].reason.encode()),
            ]
            if request.continued:
                found.append((b"x-ollamamax-continued", b"%d" % request.continued))
        if request.levels:
            found += rate_limits.headers(request.levels, self.call.api, time.time())
        if self.deprecated:
            found.append((b"x-ollamamax-deprecated", b"version"))
        if self.keep_alive_ignored:
            found.append((b"x-ollamamax-keep-alive", b"ignored"))
        return found

    async def __aenter__(self) -> Self:
        """Returns when a node has it. Raises what `Dispatcher.admit` raises (`Waited` after `at_first`, and then waits on when it is
        entered again), `ClientGone`, and `DeadlineExceeded`."""
        try:
            await self._dispatcher.admit(self.request, self._tell, self.at_first)
        except Interrupted as interruption:
            raise as_error(interruption.failure, self.request) from None
        if self.call.place is not None:
            self.call.place.leave()
        if self._instead_of is not None:
            self._dispatcher.give_up(self._instead_of, "no_capacity", 503)
        return self

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
                raise as_error(interruption.failure, request) from None
            if isinstance(event, Delta):
                if request.first_token_at is None and not request.came_at_once:
                    request.first_token_at = time.time()
                request.completion_tokens += event.tokens
                return event
            if isinstance(event, Started):
                self.keep_alive_ignored = event.keep_alive_ignored
                asked, profile = request.inference.options.num_ctx, request.asked.profile
                request.reload_avoided = load.avoided(profile, asked, loaded=event.loaded, context=event.context)
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
                raise as_error(event, request)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        code, status = (error.code, error.status) if isinstance(error, errors.OllamaMaxError) else ("client_gone", 499)
        if self.final is not None:
            if self.request.reload_avoided:
                self._dispatcher.reloads_avoided.add(
                    keys.named(self.request.asked.tenant, full_name(self.request.asked.model))
                )
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
        if isinstance(event, Final) and not self.request.continued:
            self.request.cached_tokens = event.cached

    def _settle(self, outcome: Outcome, error: str, status: int) -> None:
        self._dispatcher.settle(self.request, outcome, error, status)


def _is_short(inference: Inference, profile: Profile) -> bool:
    """Whether its first output is not needed to tell an engine that works from one that hangs."""
    most = inference.options.max_tokens
    return (
        most is not None
        and 0 < most <= ONCE_TOKENS
        and not inference.tools
        and profile.first_byte_seconds >= ONCE_PATIENCE
    )

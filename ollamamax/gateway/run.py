"""Runs what was asked, whatever protocol asks: one model or those that stand in for it, one answer or several, streamed or whole.

A model stands in for another only as long as nothing of an answer was sent; whatever is behind a name is told by the answer
itself: its ``model`` is the one that served it, and so is its usage record's. A request that waits for a slot keeps its place
while those whose time has come are asked for one: each has a slot at once, or not at all, so that nothing is lost by asking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from cluster.dispatch.queue_position import Outlook
from cluster.dispatch.request import Request, Waited
from models_registry.fallback import due, next_time
from ollamamax import logs
from ollamamax.contract.tables import Listed
from ollamamax.gateway import catalog, choices, relay
from ollamamax.gateway.asked import Asked, Parse, Render, Renderer
from ollamamax.gateway.call import Call
from ollamamax.gateway.execution import Execution
from ollamamax.gateway.fallback import HEADER, Substitutes, cause_of
from ollamamax.gateway.http import Headers, Send
from ollamamax.gateway.interruptions import Interruptions
from ollamamax.gateway.relay import Opening
from ollamamax.gateway.request_headers import take_tier
from ollamamax.gateway.service import Service
from ollamamax.kernel import errors

_NOT_YET = -1.0
_log = logs.get(__name__)


class Client(Protocol):
    """Who is answered: over HTTP, or inside this process."""

    begun: bool
    """Something of an answer is out."""

    @property
    def send(self) -> Send:
        """Takes a stream's messages."""

    def respond(self, status: int, body: bytes, headers: Headers, *, shrinks: bool = True) -> Awaitable[None]:
        """A whole response."""

    async def left(self) -> None:
        """Returns when it has closed its connection."""


Answer = Callable[[Service, Call, Asked, Client, Render], Awaitable[None]]


async def run(service: Service, call: Call, asked: Asked, client: Client, render: Render) -> None:
    """Answer it. Raises what the first model's attempt raised when no other could serve it either, `ModelNotFound`, and `ClientGone`."""
    listed = catalog.resolve(service.directory, call.principal, asked.model)
    with Interruptions(call, client.left, service.deadline) as interruptions:
        answering = _Answering(service, call, asked, client, render, interruptions)
        if listed.fallbacks and asked.may_fall_back and not call.exact:
            await _with_fallbacks(answering, listed)
        else:
            await answering.by(call, asked.model, listed)


@dataclass(frozen=True)
class Exchange:
    """A route that runs a model: what a protocol has to give. ``answer`` is for the few that do more than to `run` it."""

    parse: Parse
    render: Render
    answer: Answer = run

    def __call__(self, service: Service, call: Call, body: bytes, client: Client) -> Awaitable[None]:
        """Raises what `Parse` raises, and when it is awaited what `run` does."""
        asked = self.parse(body, call.notes)
        take_tier(call, asked.tier)
        call.affinity = asked.affinity
        return self.answer(service, call, asked, client, self.render)


class _Answering:
    """One answer on its way, whichever model gives it at last."""

    def __init__(
        self,
        service: Service,
        call: Call,
        asked: Asked,
        client: Client,
        render: Render,
        interruptions: Interruptions,
    ) -> None:
        self.service = service
        self.call = call
        self.asked = asked
        self.client = client
        self._render = render
        self._interruptions = interruptions
        self._opening: Opening | None = None

    def by(
        self, call: Call, model: str, listed: Listed, hops: str = "", *, instead_of: Request | None = None
    ) -> Awaitable[None]:
        """Have this model answer. ``hops`` tells which were left before it, and why."""
        if len(self.asked.inferences) == 1:
            return self.through(self.execution(call, model, listed, instead_of=instead_of), hops)
        return self._several(call, model, listed, hops)

    def execution(
        self,
        call: Call,
        model: str,
        listed: Listed,
        index: int = 0,
        *,
        has_others: bool = False,
        instead_of: Request | None = None,
    ) -> Execution:
        kind: Callable[..., Execution] = Execution
        if (trial := listed.trial) is not None:
            listed = catalog.on_trial(self.service.directory, call, listed, trial, self.asked, model)
            if trial.shadow and (new := catalog.in_shadow(self.service.directory, call, listed, trial)) is not None:
                kind = self.service.shadows.followed(new)
        return kind(
            self.service.dispatcher,
            self._interruptions,
            call,
            model,
            listed,
            self.asked.inferences[index],
            whole=not self.asked.stream,
            # One voice is enough for a client that waits.
            tell=self._tell if self.asked.stream and not index else None,
            has_others=has_others,
            instead_of=instead_of,
        )

    async def through(self, execution: Execution, hops: str = "") -> None:
        """Give what one execution says. Raises what it raises."""
        call, client = execution.call, self.client
        renderer = self._render(self.asked, call, execution.model)
        if self.asked.stream:
            opening = self._opened(renderer, call, hops)
            async with execution:
                try:
                    await relay.stream(execution, opening, renderer)
                except errors.OllamaMaxError as error:
                    renderer.failed(error)
                    raise
            return
        async with execution:
            body = renderer.whole([await relay.gather(execution)])
            if renderer.before_end is not None:
                await renderer.before_end()
            headers = renderer.headers + call.headers() + execution.headers() + _told(hops)
            await client.respond(200, body, headers, shrinks=renderer.shrinks)

    async def _several(self, call: Call, model: str, listed: Listed, hops: str) -> None:
        renderer = self._render(self.asked, call, model)
        count = len(self.asked.inferences)
        executions = [
            self.execution(call if index == 0 else call.again(), model, listed, index) for index in range(count)
        ]
        if self.asked.stream:
            opening = self._opened(renderer, call, hops)
            await relay.stream_several(
                lambda index: executions[index].headers(), choices.merged(executions), count, opening, renderer
            )
            return
        body = renderer.whole(await choices.gather(executions))
        headers = renderer.headers + call.headers() + executions[0].headers() + _told(hops)
        await self.client.respond(200, body, headers, shrinks=renderer.shrinks)

    def _opened(self, renderer: Renderer, call: Call, hops: str) -> Opening:
        """The stream's head, once for all models that are tried: a client that waits may have it already."""
        if self._opening is None:
            self._opening = Opening(self.client.send, renderer)
        self._opening.headers = renderer.headers + call.headers() + _told(hops)
        return self._opening

    async def _tell(self, outlook: Outlook | None) -> None:
        assert self._opening is not None  # noqa: S101 - a stream is opened before it waits
        await self._opening.tell(outlook)


def _told(hops: str) -> list[tuple[bytes, bytes]]:
    return [(HEADER, hops.encode())] if hops else []


async def _with_fallbacks(answering: _Answering, listed: Listed) -> None:
    """Its own model answers, or the first of those that stand in for it that can. Each attempt is a request of its own, with its own
    record; they share their trace and their deadline."""
    call, client, name = answering.call, answering.client, answering.asked.model
    try:
        if len(answering.asked.inferences) > 1:
            # Some of them may have a slot when others have waited for too long: they wait without being left for another model.
            await answering.by(call, name, listed)
        else:
            await _own(answering, listed)
    except errors.OllamaMaxError as error:
        first, cause = error, cause_of(error)
        if cause is None or client.begun or (call.idle_only and cause == "no_capacity"):
            raise  # whoever takes only what is idle waits for it
    else:
        return
    substitutes = Substitutes(answering.service.directory, call.principal, name, listed, list(listed.fallbacks))
    hops: list[str] = []
    while (chosen := substitutes.next(cause)) is not None:
        hops.append(f"{name};{cause}")
        name, stands_in = chosen
        call = call.again()
        _log.info("fallback", request=call.id, cause=cause, to=name)
        try:
            await answering.by(call, name, stands_in, ", ".join(hops))
        except errors.OllamaMaxError as error:
            if client.begun:
                raise
            _log.info("fallback_failed", request=call.id, model=name, code=error.code)
            cause = cause_of(error) or cause
        else:
            return
    raise first


async def _own(answering: _Answering, listed: Listed) -> None:
    """With its own model, or with another while it waits for a slot of that."""
    call, name = answering.call, answering.asked.model
    execution = answering.execution(call, name, listed, has_others=True)
    waited = _NOT_YET
    try:
        while True:
            execution.at_first = next_time(listed.fallbacks, waited)
            try:
                await answering.through(execution)
            except Waited as wait:
                waited = wait.seconds
                if await _meanwhile(answering, listed, execution.request, waited):
                    return
                if execution.request.attempt.kept is None:
                    # One that took its place and failed before it said anything has a record; who joins again is another request.
                    call = call.again()
                    execution = answering.execution(call, name, listed, has_others=True)
            else:
                return
    except BaseException as error:
        code, status = (error.code, error.status) if isinstance(error, errors.OllamaMaxError) else ("client_gone", 499)
        answering.service.dispatcher.give_up(execution.request, code, status)
        raise


async def _meanwhile(answering: _Answering, listed: Listed, place: Request, waited: float) -> bool:
    """Run a request that waits with one of those whose time has come. Whether it was answered."""
    call, name = answering.call, answering.asked.model
    left = due(listed.fallbacks, waited)
    substitutes = Substitutes(answering.service.directory, call.principal, name, listed, left)
    while place.attempt.waits and (chosen := substitutes.next("no_capacity")) is not None:
        model, stands_in = chosen
        instead = call.again()
        try:
            await answering.by(instead, model, stands_in, f"{name};no_capacity", instead_of=place)
        except errors.OllamaMaxError as error:
            if answering.client.begun:
                raise
            _log.info("fallback_failed", request=instead.id, model=model, code=error.code)
        else:
            _log.info("fallback", request=call.id, model=name, cause="waited", to=model)
            return True
    return False

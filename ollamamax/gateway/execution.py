"""One inference request from admission to settlement, whatever protocol asked for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from cluster.dispatch.dispatcher import Dispatcher, Request
from cluster.wire import Delta, Failure, Final, Inference, Outcome, Started
from ollamamax import logs
from ollamamax.gateway.catalog import Listed
from ollamamax.gateway.http import Receive
from ollamamax.kernel import errors, trace
from ollamamax.kernel.ids import new_id
from ollamamax.kernel.principal import Principal

_log = logs.get(__name__)
_CANCEL_PATIENCE = 3.0


class EngineError(errors.EngineFailed):
    """A failure that a node reported, with the code and status it gave."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message, param=failure.param)
        self.code = failure.code
        self.status = failure.status


@dataclass
class Call:
    """What a protocol knows of a request before it is run."""

    principal: Principal
    api: str
    received_at: float
    traceparent: str
    id: str = field(default_factory=new_id)

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"x-request-id", self.id.encode()), (b"traceparent", self.traceparent.encode())]


class Execution:
    """Iterate over `events()`; read counts and times from `request` and `final` after.

    Leaving the iteration before its end cancels the work on the node. Settled exactly once in every case.
    """

    def __init__(self, dispatcher: Dispatcher, call: Call, model: str, listed: Listed, inference: Inference, deadline: float) -> None:
        self._dispatcher = dispatcher
        self.call = call
        self.model = model
        self.final: Final | None = None
        self.request = Request(
            id=call.id,
            tenant=call.principal.tenant or "",
            key=call.principal.id,
            model=model,
            version=listed.version,
            api=call.api,
            traceparent=trace.child(call.traceparent),
            trace=trace.trace_id(call.traceparent),
            received_at=call.received_at,
            deadline=call.received_at + deadline,
            inference=inference,
        )

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the response; the node is known from admission on."""
        return [
            *self.call.headers(),
            (b"x-ollamamax-node", self.request.node_name.encode("ascii", "replace")),
            (b"x-ollamamax-version", self.request.version.encode()),
        ]

    async def events(self, receive: Receive) -> AsyncIterator[Delta]:
        """The output. Raises what `Dispatcher.admit` raises, `EngineError`, or `DeadlineExceeded`; ends early, without
        an error, when the client is gone."""
        request, dispatcher = self.request, self._dispatcher
        outcome: Outcome = "cancelled"
        error = "client_gone"
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await dispatcher.admit(request)
            gone.add_done_callback(lambda task: task.cancelled() or self._hang_up())
            async with asyncio.timeout(max(0.0, request.deadline - time.time())):
                while True:
                    event = await dispatcher.next(request)
                    if isinstance(event, Delta):
                        request.first_token_at = request.first_token_at or time.time()
                        request.completion_tokens += event.tokens
                        yield event
                    elif isinstance(event, Started):
                        request.started_at = event.started_at
                    elif isinstance(event, Final):
                        self._count(event)
                        self.final = event
                        outcome, error = "ok", ""
                        return
                    elif event.code == _CLIENT_GONE:
                        return
                    else:
                        outcome, error = "node_lost" if event.code == "node_lost" else "failed", event.code
                        raise EngineError(event)
        except TimeoutError:
            outcome, error = "failed", errors.DeadlineExceeded.code
            raise errors.DeadlineExceeded("The request did not finish within the time allowed for it.") from None
        except errors.OllamaMaxError as problem:
            outcome, error = (outcome if outcome != "cancelled" else "failed"), problem.code
            raise
        finally:
            gone.cancel()
            if outcome == "ok" or error in {"node_lost", "overloaded"} or request.stream is None:
                self._settle(outcome, error)
            else:
                dispatcher.later(self._cancel(outcome, error))

    def _hang_up(self) -> None:
        if self.request.stream is not None:
            self.request.stream.interrupt(Failure(_CLIENT_GONE, "The client closed the connection.", 499))

    async def _cancel(self, outcome: Outcome, error: str) -> None:
        """Stop the node's work and take its last counts into the record."""
        request = self.request
        await self._dispatcher.cancel(request)
        try:
            async with asyncio.timeout(_CANCEL_PATIENCE):
                while request.stream is not None and not request.stream.finished:
                    event = await request.stream.next()
                    if isinstance(event, Delta):
                        request.completion_tokens += event.tokens
                    elif isinstance(event, Started):
                        request.started_at = event.started_at
                    else:
                        self._count(event)
                        break
        except TimeoutError:
            _log.warning("cancel_unanswered", request=request.id, node=request.node)
        self._settle(outcome, error)

    def _count(self, event: Final | Failure) -> None:
        self.request.prompt_tokens = max(self.request.prompt_tokens, event.prompt_tokens)
        self.request.completion_tokens = max(self.request.completion_tokens, event.completion_tokens)

    def _settle(self, outcome: Outcome, error: str) -> None:
        self._dispatcher.settle(self.request, outcome, error)
        _log.info(
            "request",
            request=self.request.id,
            trace=self.request.trace,
            tenant=self.request.tenant,
            key=self.request.key,
            api=self.request.api,
            model=self.request.model,
            node=self.request.node,
            outcome=outcome,
            error=error,
            prompt_tokens=self.request.prompt_tokens,
            completion_tokens=self.request.completion_tokens,
            duration_ms=round((time.time() - self.request.received_at) * 1000, 1),
            attempts=self.request.attempt,
        )


_CLIENT_GONE = "client_gone"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def collect(execution: Execution, receive: Receive) -> tuple[str, str, list[dict[str, Any]]] | None:
    """The whole output as (text, thinking, tool calls), or ``None`` when the client left."""
    text: list[str] = []
    thinking: list[str] = []
    tool_calls: list[dict[str, Any]] = []
    async for delta in execution.events(receive):
        text.append(delta.text)
        thinking.append(delta.thinking)
        tool_calls += delta.tool_calls
    return None if execution.final is None else ("".join(text), "".join(thinking), tool_calls)

"""Shadow traffic: a share of a channel's requests is run again on the version that a rollout brings, at idle priority, and nobody is shown the answer.

It begins when the request itself has ended, so that it takes nothing from it. It takes a slot that nobody waits for, or is dropped; its key's limits
and budgets do not count it. Of answers a hash alone is kept.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections.abc import Callable
from typing import Any

import msgspec

from cluster.dispatch.dispatcher import Dispatcher
from cluster.dispatch.request import Submission
from ollamamax import logs
from ollamamax.contract import Delta, Outcome
from ollamamax.contract.tables import KnownTenant, Listed
from ollamamax.gateway.call import Call
from ollamamax.gateway.callers import Callers
from ollamamax.gateway.execution import Execution
from ollamamax.gateway.interruptions import EngineError, Interruptions
from ollamamax.identity import access
from ollamamax.kernel import errors, trace
from ollamamax.kernel.tasks import end
from ollamamax.observability.instruments import counter

MOST_AT_ONCE = 8
"""In one process: each holds the prompt of a request that has ended."""
KINDS = frozenset({"chat", "completion"})
BUSY = frozenset({429, 503})
"""Of errors of what no node was given: there is no room for it now."""
_SHADOWS = counter("ollamamax_shadow_requests_total")
_encode = msgspec.json.Encoder(order="deterministic").encode
_log = logs.get(__name__)


class SaidHash:
    """What an answer said: its text, its thinking and its tool calls, whatever parts it came in. The calls' ids are left to chance."""

    def __init__(self) -> None:
        self._text, self._thinking, self._calls = (hashlib.blake2b(digest_size=16) for _ in range(3))

    def take(self, delta: Delta) -> None:
        self._text.update(delta.text.encode(errors="surrogatepass"))
        self._thinking.update(delta.thinking.encode(errors="surrogatepass"))
        for call in delta.tool_calls:
            self._calls.update(_encode(call.get("function")) + b"\n")

    def digest(self) -> bytes:
        return self._text.digest() + self._thinking.digest() + self._calls.digest()


class _Heard(Execution):
    """One of whose answer a hash is kept."""

    _said: SaidHash | None = None
    _anew = 0

    async def next(self) -> Delta | None:
        delta = await super().next()
        if delta is not None:
            self._heard().take(delta)
        return delta

    def said(self) -> bytes:
        """The hash of all that was said; what came before the output began anew is void."""
        return self._heard().digest()

    def _heard(self) -> SaidHash:
        if self._said is None or self._anew != self.request.anew:
            self._anew, self._said = self.request.anew, SaidHash()
        return self._said


class FollowedExecution(_Heard):
    """A request of a client that is run again when it has ended, well or by a failure of what ran it."""

    def __init__(self, shadows: Shadows, new: Listed, *asked: Any, **more: Any) -> None:
        super().__init__(*asked, **more)
        self._shadows, self._new = shadows, new

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: object) -> None:
        await super().__aexit__(kind, error, where)
        if self.final is not None:
            self._shadows.begin(self.call, self.model, self._new, self.request.asked, self.said())
        elif isinstance(error, EngineError):
            self._shadows.begin(self.call, self.model, self._new, self.request.asked, None)


class _Shadow(_Heard):
    """``answer``: what the request that it runs again said, where both say the same unless the versions differ."""

    answer: bytes | None = None

    def _settle(self, outcome: Outcome, error: str, status: int) -> None:
        if outcome == "ok" and self.answer is not None:
            self.request.same_answer = self.said() == self.answer
        super()._settle(outcome, error, status)


class Shadows:
    """Those of one process; at most ``most`` at once, the others are dropped and counted."""

    def __init__(self, dispatcher: Dispatcher, callers: Callers, deadline: float, most: int = MOST_AT_ONCE) -> None:
        self._dispatcher = dispatcher
        self._callers = callers
        self._deadline = deadline
        self._most = most
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def followed(self, new: Listed) -> Callable[..., Execution]:
        """What to make instead of an `Execution`, of a request that is to be run again on that version."""
        return functools.partial(FollowedExecution, self, new)

    def begin(self, call: Call, model: str, new: Listed, asked: Submission, answer: bytes | None) -> None:
        """Run again what was asked. ``answer``: the hash of what was said; ``None`` where nothing was."""
        if asked.inference.kind not in KINDS:
            return
        if len(self._running) >= self._most:
            _SHADOWS.labels("no_room").inc()
            return
        task = asyncio.create_task(self._run(call, model, new, asked, answer), name="shadow")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """End those that run; each has its record all the same."""
        await end(self._running)

    async def _run(self, call: Call, model: str, new: Listed, asked: Submission, answer: bytes | None) -> None:
        caller = self._callers.enter(
            access.identified(call.caller.key, call.caller.identifier), call.caller.permission, None
        )
        shadow = Call(
            call.principal,
            call.api,
            time.time(),
            trace.child(call.traceparent),
            caller,
            tenant=KnownTenant(weight=call.tenant.weight),
            priority="low",
            idle_only=True,
            shadow_of=call.id,
            exact=True,
        )
        execution: _Shadow | None = None
        try:
            with Interruptions(shadow, _stays, self._deadline) as interruptions:
                execution = _Shadow(self._dispatcher, interruptions, shadow, model, new, asked.inference)
                if asked.inference.options.temperature == 0:
                    execution.answer = answer
                async with execution:
                    while await execution.next() is not None:
                        pass
            _SHADOWS.labels("ok").inc()
        except errors.OllamaMaxError as error:
            was_given = execution is not None and execution.request.node != ""
            _SHADOWS.labels("failed" if was_given or error.status not in BUSY else "not_idle").inc()
            _log.info("shadow_ended", request=shadow.id, shadow_of=call.id, code=error.code, was_given=was_given)
        finally:
            self._callers.leave(caller)


async def _stays() -> None:
    """Nobody waits for it, so nobody leaves."""
    await asyncio.Event().wait()

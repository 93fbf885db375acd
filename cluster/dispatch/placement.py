"""Brings requests onto nodes: at once, or when their turn in the queue has come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError

from cluster.dispatch import continuation, queue
from cluster.dispatch.admission import Admission, Given, Waits
from cluster.dispatch.quarantine import Quarantine
from cluster.dispatch.queue import Queue, Tell
from cluster.dispatch.request import Interrupted, Request, Waited
from cluster.dispatch.router import Router
from cluster.dispatch.settlement import Settlements
from cluster.dispatch.token_stream import TokenStream
from cluster.dispatch.token_streams import TokenStreams
from cluster.fleet import grace
from cluster.scheduling.load import beyond
from ollamamax import logs
from ollamamax.kernel import errors, timers
from ollamamax.kernel.tasks import end

AGAIN_SECONDS = 0.25
LOOK_SECONDS = 0.1
LONG, LOOK_LATER = 5.0, 0.5
"""Seconds after which a request that waits for a node is looked at less often: a fetch takes minutes, and many may wait for it."""
_log = logs.get(__name__)


class Placement:
    """``later`` runs a coroutine to its end, whatever becomes of its request."""

    def __init__(
        self,
        router: Router,
        quarantine: Quarantine,
        streams: TokenStreams,
        queue: Queue,
        admission: Admission,
        settlements: Settlements,
        later: Callable[[Any], None],
    ) -> None:
        self._router = router
        self._quarantine = quarantine
        self._streams = streams
        self._queue = queue
        self._admission = admission
        self._settlements = settlements
        self._later = later

    async def take(self, request: Request, tell: Tell | None, at_first: float | None) -> tuple[TokenStream, str]:
        """The stream of its next attempt, and the node. Raises what `Dispatcher.admit` does."""
        if request.interruption is not None and request.attempt.kept is None:
            raise Interrupted(request.interruption)
        if request.attempt.kept is None:
            nodes = self._router.rank(request) or await self._awaited(request, tell, at_first)
            if not nodes:
                raise errors.Unavailable(_nobody(request), retry_after=2, model=request.asked.model)
            if request.attempt.number == 0:
                self._quarantine.admit(request)
                request.said = [] if continuation.may_continue(request) else None
            attempt = request.next_attempt()
            attempt.kept = self._streams.open(attempt.ticket)
            self._queue.expect(request)
            placed = self._place(request, nodes, tell, at_first)
        else:
            placed = self._queue.wait(request, tell, at_first)
        stream = request.attempt.kept
        assert stream is not None  # noqa: S101 - it waits, or begins to
        try:
            node = await placed
        except Waited:
            raise
        except BaseException as error:
            self._let_go(request)
            if request.attempt.offered:
                # Whether a node has it is not known: the answer was lost, or it was given at this very moment.
                self._later(self._admission.withdraw(request.as_it_is(), close=True))
            if not isinstance(error, RedisError):
                raise
            _log.error("admission_failed", request=request.id, error=str(error))
            raise errors.Unavailable("The queue of this installation cannot be reached.", retry_after=1) from error
        self._queue.forget(request)
        request.attempt.kept = None
        return stream, node

    async def _place(self, request: Request, nodes: Sequence[str], tell: Tell | None, at_first: float | None) -> str:
        """The node, at once or once it is its turn."""
        answer = await self._admitted(request, nodes, tell)
        if not isinstance(answer, Waits):
            return self._queue.accept(request, answer)
        request.route.waiting = answer.waiting
        self._router.rule_out(request)
        return await self._queue.wait(request, tell, at_first)

    async def _admitted(self, request: Request, nodes: Sequence[str], tell: Tell | None) -> Given | Waits:
        """Asked again while Redis does not answer, or has none of the nodes for alive, and not for long."""
        taken = request.attempt.number > 1 or request.asked.at_once
        # Most are admitted at their first attempt, and need no wait: whoever hears signs of life hears them from the beginning.
        asking = None if tell is None else _Wait(request, tell)
        try:
            while True:
                try:
                    return await self._admission.admit(request, nodes, taken=taken)
                except errors.Unavailable:
                    problem = "alive"
                    request.attempt.offered.clear()
                    asking = asking or _Wait(request, tell)
                    if not asking.may_go_on:
                        raise
                except errors.OllamaMaxError:
                    # Refused: Redis knows nothing of this attempt.
                    request.attempt.offered.clear()
                    raise
                except RedisError as error:
                    # Whether it was done is not known; asked again it is not done twice.
                    problem = str(error)
                    asking = asking or _Wait(request, tell)
                    if not asking.may_go_on:
                        raise
                _log.warning("admission_waits", request=request.id, problem=problem)
                await asyncio.sleep(AGAIN_SECONDS)
                if request.attempt.place is not None and request.attempt.place.done():
                    request.attempt.place.result()  # its client left meanwhile
                nodes = self._router.rank(request) or nodes
        finally:
            if asking is not None:
                await asking.end()

    async def _awaited(self, request: Request, tell: Tell | None, at_first: float | None) -> Sequence[str]:
        """The nodes that may run it, when none may now, and one may in a moment. Raises `Interrupted`."""
        nodes: Sequence[str] = ()
        if not request.asked.waits_for_nodes or request.asked.idle_only or request.asked.at_once:
            return nodes
        waiting = _Wait(request, tell)
        place = request.attempt.place = asyncio.get_running_loop().create_future()
        try:
            while (
                not nodes
                and (at_first is None or waiting.seconds < at_first)
                and (self._router.is_fetched(request) or (waiting.may_go_on and self._router.may_be_served(request)))
            ):
                done, _ = await asyncio.wait([place], timeout=LOOK_SECONDS if waiting.seconds < LONG else LOOK_LATER)
                if done:
                    place.result()
                nodes = self._router.rank(request)
        finally:
            request.attempt.place = None
            await waiting.end()
        return nodes

    def give_up(self, request: Request, error: str, status: int) -> None:
        """Give up the place that a request keeps, and a slot that it is given at this very moment."""
        if request.attempt.kept is not None:
            self._let_go(request)
            # Left by its client, or for another model, or cancelled; else it is its client that is refused.
            request.end(
                "cancelled" if error in {"client_gone", "no_capacity", "request_cancelled"} else "refused",
                error,
                status,
            )
            self._later(self._gave_up(request.as_it_is()))

    async def _gave_up(self, request: Request) -> None:
        await self._admission.withdraw(request, close=True)
        self._router.note(request)
        self._settlements.add(request)

    def _let_go(self, request: Request) -> None:
        self._queue.forget(request)
        self._streams.close(request.attempt.ticket)
        request.stream = request.attempt.kept = None


def _nobody(request: Request) -> str:
    what = f"the model '{request.asked.model}'{beyond(request.wants())}"
    if request.asked.kept_by:
        return f"No node whose {request.asked.kept_by} engine has {what} is available right now."
    return f"No node that has {what} is available right now."


class _Wait:
    """A wait for what may be back in a moment: it has an end, and its client hears signs of life meanwhile."""

    def __init__(self, request: Request, tell: Tell | None) -> None:
        self._began = time.monotonic()
        self._patient = request.asked.waits_for_nodes and not request.asked.idle_only
        self._tell = tell
        self._telling: asyncio.Task[None] | None = None
        self._timer: timers.Timer | None = None
        if tell is not None:
            self._timer = timers.call_later(queue.FIRST_WORD, self._begin)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def may_go_on(self) -> bool:
        return self._patient and self.seconds < grace.SECONDS

    async def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._telling is not None:
            await end([self._telling])

    def _begin(self) -> None:
        self._telling = asyncio.create_task(self._signs())

    async def _signs(self) -> None:
        assert self._tell is not None  # noqa: S101 - begun for it
        with contextlib.suppress(Exception):  # whoever writes next hears of it
            while True:
                await self._tell(None)
                await asyncio.sleep(queue.EACH)

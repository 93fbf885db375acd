"""Brings requests onto nodes: at once, or when their turn in the queue has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import RedisError

from cluster.dispatch import continuation
from cluster.dispatch.admission import Admission, Waits
from cluster.dispatch.quarantine import Quarantine
from cluster.dispatch.queue import Queue, Tell
from cluster.dispatch.request import Request, Waited
from cluster.dispatch.router import Router
from cluster.dispatch.settlement import Settlements
from cluster.dispatch.stream import Stream
from cluster.dispatch.streams import Streams
from cluster.scheduling.load import beyond
from ollamamax import logs
from ollamamax.kernel import errors

_log = logs.get(__name__)


class Places:
    """``later`` runs a coroutine to its end, whatever becomes of its request."""

    def __init__(
        self,
        router: Router,
        quarantine: Quarantine,
        streams: Streams,
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

    async def take(self, request: Request, tell: Tell | None, at_first: float | None) -> tuple[Stream, str]:
        """The stream of its next attempt, and the node. Raises what `Dispatcher.admit` does."""
        if request.kept is None:
            nodes = self._router.rank(request)
            if not nodes:
                raise errors.Unavailable(
                    f"No node that has the model '{request.model}'{beyond(request.wants())} is available right now.",
                    retry_after=2,
                    model=request.model,
                )
            if request.attempt == 0:
                self._quarantine.admit(request)
                request.said = [] if continuation.may_continue(request) else None
            request.attempt += 1
            request.asked.clear()
            request.kept = self._streams.open(request.ticket)
            self._queue.expect(request)
            placed = self._place(request, nodes, tell, at_first)
        else:
            placed = self._queue.wait(request, tell, at_first)
        stream = request.kept
        try:
            node = await placed
        except Waited:
            raise
        except BaseException as error:
            self._let_go(request)
            if request.asked:
                # Whether a node has it is not known: the answer was lost, or it was given at this very moment.
                self._later(self._admission.withdraw(request.as_it_is(), close=True))
            if not isinstance(error, RedisError):
                raise
            _log.error("admission_failed", request=request.id, error=str(error))
            raise errors.Unavailable("The queue of this installation cannot be reached.", retry_after=1) from error
        self._queue.forget(request)
        request.kept = None
        return stream, node

    async def _place(self, request: Request, nodes: Sequence[str], tell: Tell | None, at_first: float | None) -> str:
        """The node, at once or once it is its turn."""
        try:
            answer = await self._admission.admit(request, nodes, taken=request.attempt > 1 or request.at_once)
        except errors.OllamaMaxError:
            # Refused: Redis knows nothing of this attempt.
            request.asked.clear()
            raise
        if not isinstance(answer, Waits):
            return self._queue.accept(request, answer)
        request.route.waiting = answer.waiting
        self._router.rule_out(request)
        return await self._queue.wait(request, tell, at_first)

    def give_up(self, request: Request, error: str) -> None:
        """Give up the place that a request keeps, and a slot that it is given at this very moment."""
        if request.kept is not None:
            self._let_go(request)
            self._later(self._gave_up(request.as_it_is(), error))

    async def _gave_up(self, request: Request, error: str) -> None:
        await self._admission.withdraw(request, close=True)
        self._router.note(request)
        self._settlements.add(request, "cancelled", error)

    def _let_go(self, request: Request) -> None:
        self._queue.forget(request)
        self._streams.close(request.ticket)
        request.stream = request.kept = None

"""Does what the control plane orders of this process's requests: cancels, gives another class, or says how far one is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec
from redis.exceptions import RedisError

from cluster.dispatch.request import Request
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract import Described, Failure, decode_gateway_order, encode_json
from ollamamax.kernel.errors import RequestCancelled

AGAIN_SECONDS = 0.2
TOLD = 3
"""How many times a request is told that it is cancelled, before whatever serves it is ended."""
KEPT_SECONDS = 10
"""For which a description waits for whoever asked."""
_log = logs.get(__name__)


class Orders:
    """``note`` writes the last ranking into a request's route; ``later`` runs a coroutine to its end.

    ``known`` are the requests under way, by their ids.
    """

    def __init__(
        self,
        commands: Pipelined,
        note: Callable[[Request], None],
        later: Callable[[Coroutine[Any, Any, None]], None],
        known: Mapping[str, Request],
    ) -> None:
        self._commands = commands
        self._note = note
        self._later = later
        self._known = known

    def take(self, data: bytes) -> None:
        """Obey what was published to this gateway; an order of a request that is over, or of nobody here, changes nothing."""
        try:
            order = decode_gateway_order(data)
        except msgspec.MsgspecError:
            # Of a later release, which knows more to order.
            _log.warning("order_not_understood")
            return
        request = self._known.get(order.request)
        if request is None or request.ended is not None:
            return
        match order.verb:
            case "cancel" if not request.cancelled_by:
                _log.info("request_cancelled", request=request.id)
                request.cancelled_by = order.by or "unknown"
                self._cancel(request, TOLD)
            case "prioritise":
                request.priority = order.priority
            case "describe":
                self._note(request)
                self._later(self._answer(order.question, _described(request)))

    def _cancel(self, request: Request, left: int) -> None:
        """Tell it, and again until it has heard: what it hears between two attempts goes with the first of them."""
        if request.ended is not None or request.route.cancelled_by:
            return
        if left:
            request.interrupt(_CANCELLED)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._cancel, request, left - 1)
        elif request.stream is not None:
            # Its client takes nothing of what was said, so that nobody asks for more.
            request.stream.give_up()

    async def _answer(self, question: str, described: Described) -> None:
        name = keys.description(question)
        try:
            await self._commands.do_all([("RPUSH", name, encode_json(described)), ("EXPIRE", name, KEPT_SECONDS)])
        except RedisError as error:
            _log.warning("description_lost", error=str(error))


_CANCELLED = Failure(
    RequestCancelled.code, "This request was cancelled by somebody who manages the requests of its tenant.", 499
)


def _described(request: Request) -> Described:
    return Described(request.route, request.started_at, request.first_token_at, request.completion_tokens)

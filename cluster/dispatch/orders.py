"""Orders for the gateway that has a request (cancel, prioritise, describe): how the control plane says them, and how the gateway obeys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import redis
from redis.exceptions import RedisError

from cluster.dispatch.request import Request
from cluster.dispatch.script import Script, arguments
from cluster.scheduling.fairness import HEAD_START, Priority
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.bus.pipelined import Pipelined
from ollamamax.contract import (
    Described,
    Failure,
    GatewayOrder,
    OpenRequest,
    decode_described,
    decode_gateway_order,
    decode_open,
    encode_gateway_order,
    encode_json,
)
from ollamamax.kernel.errors import RequestCancelled
from ollamamax.kernel.ids import new_id

ANSWER_SECONDS = 0.3
"""For which a gateway is waited for: it answers within a few milliseconds, unless it hangs."""
AGAIN_SECONDS = 0.2
TOLD = 3
"""How many times a request is told that it is cancelled, before whatever serves it is ended."""
KEPT_SECONDS = 10
"""For which a description waits for whoever asked."""
_log = logs.get(__name__)

_prioritise = Script("prioritise")


class _Entry(msgspec.Struct):
    """Of `keys.queue_entry`: ``open`` is the open record without its leading brace, ``nodes`` are those that it waits for."""

    ticket: str
    open: str
    nodes: list[tuple[str, str, int]] | dict[str, str] = []


_decode = msgspec.msgpack.Decoder(_Entry).decode


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A request that waits (``ticket`` is set) or runs."""

    opened: OpenRequest
    ticket: str = ""

    @property
    def waits(self) -> bool:
        return self.ticket != ""


def find(client: redis.Redis, request: str, tenant: str) -> UnderWay | None:
    """The tenant's request, if it is under way. Raises `RedisError`."""
    packed = cast("bytes | None", client.hget(keys.queue_entry(request), "a"))
    if packed is not None:
        entry = _decode(packed)
        found = UnderWay(decode_open(b"{" + entry.open.encode()), entry.ticket)
    elif (data := cast("bytes | None", client.hget(keys.OPEN, request))) is not None:
        found = UnderWay(decode_open(data))
    else:
        return None
    return found if found.opened.tenant == tenant else None


def say(client: redis.Redis, gateway: str, order: GatewayOrder) -> bool:
    """Whether the gateway heard it. Raises `RedisError`."""
    return cast("int", client.publish(keys.gateway_orders(gateway), encode_gateway_order(order))) > 0


def prioritise(client: redis.Redis, under_way: UnderWay, priority: Priority, allowed: float) -> bool:
    """Move a request that waits to where its class puts it; ``False`` when it does not wait any more. Raises `RedisError`.

    ``allowed``: for how many seconds requests may wait and run, as in `fairness.score`.
    """
    opened = msgspec.structs.replace(under_way.opened, priority=priority)
    call = {
        "request": opened.request,
        "ticket": under_way.ticket,
        "open": encode_json(opened)[1:].decode(),
        "head": HEAD_START[priority] * allowed,
    }
    return bool(_prioritise.run_sync(client, arguments(call)))


def describe(client: redis.Redis, gateway: str, request: str) -> Described | None:
    """How far a request is, as its gateway says; ``None`` when that does not answer at once. Raises `RedisError`."""
    question = new_id()
    if not say(client, gateway, GatewayOrder("describe", request, question=question)):
        return None
    answer = cast("tuple[bytes, bytes] | None", client.blpop([keys.description(question)], timeout=ANSWER_SECONDS))
    return None if answer is None else decode_described(answer[1])


class Orders:
    """Obeys what is ordered of this process's requests.

    ``note`` writes the last ranking into a request's route; ``later`` runs a coroutine to its end; ``known`` are the requests under way, by their ids.
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

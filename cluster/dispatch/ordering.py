"""Orders for the gateway that has a request: whose it is, and what is said to it. Called by the control plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import msgspec
import redis

from cluster.dispatch.script import Script, arguments
from cluster.scheduling.fairness import HEAD_START, Priority
from ollamamax.bus import keys
from ollamamax.contract import (
    Described,
    GatewayOrder,
    OpenRequest,
    decode_described,
    decode_open,
    encode_gateway_order,
    encode_json,
)
from ollamamax.kernel.ids import new_id

ANSWER_SECONDS = 0.3
"""For which a gateway is waited for: it answers within a few milliseconds, unless it hangs."""

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

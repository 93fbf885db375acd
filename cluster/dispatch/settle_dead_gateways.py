"""Settles what gateways left open when they died, with what the nodes counted. No Django."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from typing import Any, cast

import msgspec
import redis

from cluster.dispatch.gateway_lease import Patience, departed, forget
from cluster.dispatch.script import Script, arguments
from cluster.telemetry import ignore, read
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import (
    Control,
    Counted,
    Nonsense,
    OpenRequest,
    UsageRecord,
    decode_done,
    decode_open,
    encode_control,
    encode_json,
)
from ollamamax.contract.measured import EndedBatch, encode_ended, ended_of

ANSWER = 0.5
"""Seconds for which one look waits until the nodes that it told to stop say what they did."""
LAST_ENDS = 2000
PATIENCE = 60.0
"""Seconds from when the node was given it after which a request is settled though its living node never said how it ended."""

_settle = Script("settle")
_give_up = Script("give_up")
_log = logs.get(__name__)


def settle_lost(
    client: redis.Redis, patience: Patience | None = None, *, check: Callable[[], None] = lambda: None
) -> int:
    """Safe to run twice, also at once: a second record of a request is not taken over to Postgres. Returns how many it settled.

    A node that still works for a dead gateway is told to stop; if it does not at once, a later run settles the request. What only
    waited ends with its place. ``check`` raises when another process does this by now. Raises `RedisError`.
    """
    dead = departed(client, patience or Patience())
    _record_abandoned(client, dead, check)
    if not dead:
        return 0
    check()
    # What waits may be given a node until its place is given up: only then all that the dead left open is known.
    _give_up_places(client, dead)
    opened = [decode_open(value) for value in cast("dict[bytes, bytes]", client.hgetall(keys.OPEN)).values()]
    lost = [each for each in opened if each.gateway in dead]
    left = _settle_known(client, lost)
    _stop(client, left)
    end = time.monotonic() + ANSWER
    while left and time.monotonic() < end:
        time.sleep(ANSWER / 10)
        left = _settle_known(client, left)
    forget(client, sorted(dead - {each.gateway for each in left}))
    return len(lost) - len(left)


def _settle_known(client: redis.Redis, lost: Sequence[OpenRequest]) -> list[OpenRequest]:
    """Settle those whose node has said how they ended, or will not any more. Returns the others."""
    nodes = {each.node for each in lost}
    done = {node: _done(client, node) for node in nodes}
    alive = {node for node in nodes if client.exists(keys.node_state(node))}
    seconds, micros = cast("tuple[int, int]", client.time())
    now = seconds + micros / 1e6
    left = []
    rooms = {
        node: 0 if state.draining else state.capacity for node, state in read(client, sorted(nodes)).states.items()
    }
    for each in lost:
        counted = done[each.node].get(_ticket(each))
        if counted is None and each.node in alive and now - each.given_at < PATIENCE:
            left.append(each)
        else:
            _settle_one(client, each, counted, rooms.get(each.node, 0))
    return left


def _settle_one(client: redis.Redis, lost: OpenRequest, counted: Counted | None, room: int) -> None:
    # Who counts in budgets and was counted by nobody has used what it reserved; its seconds are those since it was given its node.
    seconds = max(0.0, time.time() - lost.given_at)
    used = None
    if counted is not None and counted.prompt_tokens + counted.completion_tokens > 0:
        used = (counted.prompt_tokens, counted.completion_tokens, seconds, _kept(counted) or 0)
    account = {
        "request": lost.request,
        "ticket": _ticket(lost),
        "tenant": lost.tenant,
        "counted": [lost.key, lost.tenant],
        "node": lost.node,
        "room": room,
        "version": lost.version,
        "weight": 1,
        # What was expected stands: nobody knows any more what that was.
        "work": 0,
        "tokens": 0,
        "limits": [],
        "used": used,
    }
    record = _record(lost, counted or Counted())
    _settle.run_sync(client, arguments(account, encode_json(record)))
    if not record.shadow_of:
        client.rpush(keys.ENDED, encode_ended(EndedBatch(time.time(), [ended_of(record)])))
    _log.warning("settled_for_lost_gateway", request=lost.request, gateway=lost.gateway)


def _stop(client: redis.Redis, requests: Sequence[OpenRequest]) -> None:
    with client.pipeline(transaction=False) as pipe:
        for each in requests:
            pipe.publish(keys.node_control(each.node), encode_control(Control("cancel", _ticket(each), each.gateway)))
        pipe.execute()


def _ticket(opened: OpenRequest) -> str:
    return f"{opened.request}.{opened.attempt}"


class _Entry(msgspec.Struct):
    request: str
    ticket: str
    gateway: str
    open: str
    """Its open record as JSON, without the opening brace."""


_decode_entry = msgspec.msgpack.Decoder(_Entry).decode


def _give_up_places(client: redis.Redis, dead: Set[str]) -> None:
    """Those that no node was given yet end here, with a record that names none."""
    waiting = [request.decode() for request in cast("list[bytes]", client.zrange(keys.WAITING, 0, -1))]
    with client.pipeline(transaction=False) as pipe:
        for request in waiting:
            pipe.hget(keys.queue_entry(request), "a")
        packed = pipe.execute()
    for request, entry in zip(waiting, packed, strict=True):
        each = None if entry is None else _decode_entry(entry)
        if each is None:
            _give_up.run_sync(client, arguments({"request": request, "ticket": ""}, b""))
        elif each.gateway in dead:
            record = encode_json(_record(decode_open("{" + each.open), Counted()))
            over = _give_up.run_sync(client, arguments({"request": each.request, "ticket": each.ticket}, record))
            _log.warning(
                "place_given_up_for_lost_gateway", request=each.request, gateway=each.gateway, is_over=bool(over)
            )


def _record_abandoned(client: redis.Redis, dead: Set[str], check: Callable[[], None]) -> None:
    """Those whose place somebody else took because their gateway had no lease: a gateway that came back asks for its place again by itself."""
    abandoned = [_decode_entry(entry) for entry in cast("list[bytes]", client.hvals(keys.ABANDONED))]
    if not abandoned:
        return
    check()
    known = {gateway.decode() for gateway in cast("set[bytes]", client.smembers(keys.GATEWAYS))}
    for each in abandoned:
        alive = client.exists(keys.gateway_alive(each.gateway))
        if each.gateway in known - dead and not alive:
            continue  # not known to be dead yet
        with client.pipeline() as pipe:
            if not alive:
                opened = decode_open("{" + each.open)
                record = encode_json(_record(opened, Counted()))
                pipe.xadd(keys.USAGE, {"r": record})
                pipe.xadd(keys.recent(opened.tenant), {"r": record}, maxlen=100)
            pipe.hdel(keys.ABANDONED, each.request)
            pipe.execute()
        _log.warning("abandoned_place_of_lost_gateway", request=each.request, gateway=each.gateway, is_over=not alive)


def _done(client: redis.Redis, node: str) -> dict[str, Counted]:
    """What the node counted, by ticket. An entry that makes no sense is left out; it stops the settlement of nobody."""
    try:
        entries = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]", client.xrevrange(keys.node_done(node), count=LAST_ENDS)
        )
    except redis.ResponseError as error:
        ignore(node, str(error)[:200])
        return {}
    found: dict[str, Counted] = {}
    for _, fields in entries:
        try:
            ticket, counted = decode_done(fields)
        except Nonsense as error:
            ignore(node, error.reason)
        else:
            found.setdefault(ticket, counted)
    return found


def _kept(counted: Counted) -> int | None:
    """No prompt has more kept tokens than tokens, whatever the node notes."""
    return None if counted.cached_tokens is None else min(counted.cached_tokens, counted.prompt_tokens)


def _record(opened: OpenRequest, counted: Counted) -> UsageRecord:
    taken: dict[str, Any] = {
        name: getattr(opened, name)
        for name in (
            "request",
            "tenant",
            "key",
            "model",
            "version",
            "node",
            "node_name",
            "api",
            "trace",
            "received_at",
            "idle_only",
            "shadow_of",
        )
    }
    return UsageRecord(
        **taken,
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        cached_tokens=_kept(counted),
        queue_ms=None,
        first_token_ms=None,
        duration_ms=round((time.time() - opened.received_at) * 1000, 3),
        outcome="gateway_lost",
        error="gateway_lost",
        attempts=opened.attempt,
        slot_seconds=round(max(0.0, time.time() - opened.given_at), 3) if opened.given_at else None,
    )

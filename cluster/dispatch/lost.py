"""Settles what gateways left open when they died, with what the nodes counted. No Django."""

from __future__ import annotations

import time
from typing import Any, cast

import msgspec
import redis

from cluster.dispatch.script import Script, arguments
from cluster.wire import Control, OpenRequest, UsageRecord, decode_open, encode_control, encode_json
from ollamamax import logs
from ollamamax.bus import keys

GRACE = 5.0
"""Seconds for which a gateway's lease must be missing before its requests count as lost."""
PATIENCE = 60.0
"""Seconds from when the node was given it after which a request is settled though its living node never said how it ended."""

_settle = Script("settle")
_withdraw = Script("withdraw")
_log = logs.get(__name__)


class Counted(msgspec.Struct):
    """What a node notes of a ticket it finished (stream `keys.node_done`)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


_decode_counted = msgspec.json.Decoder(Counted).decode


def settle_lost(client: redis.Redis, *, grace: float = GRACE) -> int:
    """Safe to run twice, also at once: a second record of a request is not taken over to Postgres. Returns how many it settled.

    A node that still works for a dead gateway is told to stop, and settled at a later run. What only waited gives up its place.
    """
    _give_up_places(client, grace)
    opened = [decode_open(value) for value in cast("dict[bytes, bytes]", client.hgetall(keys.OPEN)).values()]
    dead = {gateway for gateway in {each.gateway for each in opened} if _is_dead(client, gateway, grace)}
    lost = [each for each in opened if each.gateway in dead]
    settled = 0
    done = {node: _done(client, node) for node in {each.node for each in lost}}
    for each in lost:
        ticket = f"{each.request}.{each.attempt}"
        counted = done[each.node].get(ticket)
        waiting = time.time() - max(each.admitted_at, each.given_at) < PATIENCE and client.exists(
            keys.node_state(each.node)
        )
        if counted is None and waiting:
            client.publish(keys.node_control(each.node), encode_control(Control("cancel", ticket, each.gateway)))
            continue
        account = {
            "request": each.request,
            "ticket": ticket,
            "tenant": each.tenant,
            "counted": [each.key, each.tenant],
            "node": each.node,
            "version": each.version,
            "weight": 1,
            # What was expected stands: nobody knows any more what that was.
            "work": 0,
            "tokens": 0,
            "limits": [],
        }
        _settle.run_sync(client, arguments(account, encode_json(_record(each, counted or Counted()))))
        settled += 1
        _log.warning("settled_for_lost_gateway", request=each.request, gateway=each.gateway)
    return settled


class _Entry(msgspec.Struct):
    request: str
    ticket: str
    tenant: str
    key: str
    gateway: str


_decode_entry = msgspec.msgpack.Decoder(_Entry).decode


def _give_up_places(client: redis.Redis, grace: float) -> None:
    waiting = cast("list[bytes]", client.zrange(keys.WAITING, 0, -1))
    found = []
    for request in waiting:
        packed = cast("bytes | None", client.hget(keys.queue_entry(request.decode()), "a"))
        if packed is None:
            client.zrem(keys.WAITING, request)
        else:
            found.append(_decode_entry(packed))
    dead = {gateway for gateway in {each.gateway for each in found} if _is_dead(client, gateway, grace)}
    for each in found:
        if each.gateway in dead:
            account = {"request": each.request, "ticket": each.ticket, "counted": [each.key, each.tenant]}
            _withdraw.run_sync(client, arguments({**account, "nodes": [], "close": True}, b""))
            _log.warning("place_given_up_for_lost_gateway", request=each.request, gateway=each.gateway)


def _is_dead(client: redis.Redis, gateway: str, grace: float) -> bool:
    """Whether its lease has been missing for ``grace`` seconds. A living gateway renews it as soon as Redis is back."""
    missed = keys.gateway_missed(gateway)
    if client.exists(keys.gateway_alive(gateway)):
        client.delete(missed)
        return False
    now = time.time()
    client.set(missed, str(now), nx=True, ex=3600)
    return now - float(cast("bytes", client.get(missed)) or now) >= grace


def _done(client: redis.Redis, node: str) -> dict[str, Counted]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrevrange(keys.node_done(node), count=2000))
    return {fields[b"t"].decode(): _decode_counted(fields[b"r"]) for _, fields in entries}


def _record(opened: OpenRequest, counted: Counted) -> UsageRecord:
    taken: dict[str, Any] = {
        name: getattr(opened, name)
        for name in ("request", "tenant", "key", "model", "version", "node", "node_name", "api", "trace", "received_at")
    }
    return UsageRecord(
        **taken,
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        queue_ms=None,
        first_token_ms=None,
        duration_ms=round((time.time() - opened.received_at) * 1000, 3),
        outcome="gateway_lost",
        error="gateway_lost",
        attempts=opened.attempt,
    )

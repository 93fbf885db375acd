"""The line of all who wait, as a snapshot: who stands where, and how long it may take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import redis

from cluster.dispatch.script import Do, Script, arguments
from cluster.scheduling.fairness import Waiting, order
from ollamamax.contract import OpenRequest

MOST = 10_000
_script = Script("queue_position")


class _Snapshot(msgspec.Struct):
    # Lua does not tell an empty list from an empty map.
    waiting: list[tuple[str, str, str, str, str, str, str, list[str] | dict[str, Any]]] | dict[str, Any]
    work: dict[str, str] | list[Any]
    rates: dict[str, str] | list[Any]


_decode = msgspec.msgpack.Decoder(_Snapshot).decode
_decode_open = msgspec.json.Decoder(OpenRequest).decode


@dataclass(frozen=True, slots=True)
class Outlook:
    """``position`` counts from 1; ``seconds`` until it is served, ``None`` while nothing of the model has ended lately."""

    position: int
    waiting: int
    seconds: float | None


@dataclass(frozen=True)
class QueuePositions:
    """Places are those of one queue for all; who waits for a node of its own may be served before."""

    places: dict[str, Outlook] = field(default_factory=dict)
    own: list[OpenRequest] = field(default_factory=list)
    """Of the tenant that was asked for, in the order of their places."""
    nodes: dict[str, list[str]] = field(default_factory=dict)
    """Of each of these the names of the nodes that it waits for."""
    of_tenant: Counter[str] = field(default_factory=Counter)
    """How many requests of each tenant wait."""


async def read(do: Do) -> QueuePositions:
    """Raises `RedisError`."""
    return _positions(await _script.run(do, arguments({"tenant": "", "most": MOST})))


def read_own(client: redis.Redis, tenant: str) -> QueuePositions:
    """With the tenant's own requests. Raises `RedisError`."""
    return _positions(_script.run_sync(client, arguments({"tenant": tenant, "most": MOST})))


def _positions(packed: Any) -> QueuePositions:
    found = _decode(packed)
    waiting = found.waiting if isinstance(found.waiting, list) else []
    rates = _numbers(found.rates)
    given = _numbers(found.work)
    versions = {request: version for request, _, _, _, _, version, *_ in waiting}
    served = order(
        (
            Waiting(request, tenant, float(score), float(cost), float(weight))
            for request, tenant, score, cost, weight, *_ in waiting
        ),
        given,
    )
    # Requests of one version wait for the same nodes: what ends there in a second is how fast their line moves.
    ahead: dict[str, int] = {}
    places = {}
    for position, request in enumerate(served, 1):
        version = versions[request]
        ahead[version] = ahead.get(version, 0) + 1
        rate = rates.get(version, 0.0)
        places[request] = Outlook(position, len(served), ahead[version] / rate if rate > 1e-3 else None)
    own = [_decode_open(opened) for *_, opened, _ in waiting if opened]
    own.sort(key=lambda each: places[each.request].position)
    nodes = {request: names for request, *_, opened, names in waiting if opened and isinstance(names, list)}
    return QueuePositions(places, own, nodes, Counter(tenant for _, tenant, *_ in waiting))


def _numbers(found: dict[str, str] | list[Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()} if isinstance(found, dict) else {}

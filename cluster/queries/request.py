"""Reads requests: those that wait, those that run, those that are over, and why each ran where it ran."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import msgspec
import redis
from redis.exceptions import RedisError

from cluster.dispatch import orders, queue_position
from cluster.dispatch.queue_position import QueuePositions
from cluster.scheduling import explanation
from cluster.scheduling.explanation import Times
from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.contract import Described, OpenRequest, Route, UsageRecord, decode_open, decode_usage
from ollamamax.identity.queries.key import names_of_keys
from ollamamax.kernel.errors import NotFound, Unavailable
from ollamamax.metering import queries as metering

MOST_UNDER_WAY = 200
"""So many of a tenant's requests that run are listed, the ones received last."""
_log = logs.get(__name__)


class _Owner(msgspec.Struct):
    """Of an `OpenRequest` whose it is."""

    tenant: str


_decode_owner = msgspec.json.Decoder(_Owner).decode


def waiting(tenant: str) -> QueuePositions:
    """The line, with the tenant's own requests. Raises `Unavailable` when Redis is away."""
    with _reachable("The queue cannot be read right now.") as client:
        return queue_position.read_own(client, tenant)


def running(tenant: str) -> list[dict[str, Any]]:
    """The tenant's requests that a node has now, the newest first, `MOST_UNDER_WAY` at most. Raises `Unavailable`."""
    with _reachable("Requests under way cannot be read right now.") as client:
        values = cast("list[bytes]", client.hvals(keys.OPEN))
    marked = tenant.encode()
    # Of ten thousand that run most are others': what cannot be the tenant's is not decoded.
    own = [each for each in map(decode_open, (value for value in values if marked in value)) if each.tenant == tenant]
    own.sort(key=lambda each: (each.received_at, each.request), reverse=True)
    return [_under_way("running", each) for each in own[:MOST_UNDER_WAY]]


def count_running(tenant: str, model: str) -> int:
    """How many of the tenant's requests run with the model of this full name. Raises `Unavailable`."""
    with _reachable("Requests under way cannot be read right now.") as client:
        values = cast("list[bytes]", client.hvals(keys.OPEN))
    marked = tenant.encode()
    own = (decode_open(value) for value in values if marked in value)
    return sum(each.tenant == tenant and each.model == model for each in own)


def running_of_tenants() -> Counter[str]:
    """How many requests of each tenant nodes have now. Raises `Unavailable`."""
    with _reachable("Requests under way cannot be read right now.") as client:
        values = cast("list[bytes]", client.hvals(keys.OPEN))
    return Counter(each.tenant for each in map(_decode_owner, values))


def with_key_names(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each with ``key_name``, empty for a key that is gone. Queries: 1 in the tenant's scope, or none for no rows."""
    found = list(rows)
    names = names_of_keys(each["key"] for each in found)
    return [each | {"key_name": names.get(uuid.UUID(str(each["key"])), "")} for each in found]


def find_request(request: uuid.UUID, tenant: str) -> dict[str, Any]:
    """One request of the tenant in scope, in whatever state. Raises `NotFound`. Queries: 2, 3 for one that ended, and 4 for one that was charged."""
    record = metering.find_record(request)
    if record is not None:
        values = {field.attname: getattr(record, field.attname) for field in record._meta.concrete_fields}
        values["received_at"] = record.received_at.timestamp()
        values["price_since"] = None if record.price is None else metering.price_since(record.price)
        found = _settled({**values, "route": metering.find_route(request)})
    else:
        with _reachable("Requests under way cannot be read right now.") as client:
            known = _in_redis(client, request.hex, tenant)
        if known is None:
            raise NotFound("There is no such request.")
        found = known
    return with_key_names([found])[0]


def _in_redis(client: redis.Redis, request: str, tenant: str) -> dict[str, Any] | None:
    under_way = orders.find(client, request, tenant)
    if under_way is not None:
        opened = under_way.opened
        described = orders.describe(client, opened.gateway, request)
        if not under_way.waits:
            return _explained(_under_way("running", opened), opened, described)
        place = queue_position.read_own(client, tenant).places.get(request)
        expected = None if place is None or place.seconds is None else round(place.seconds * 1000)
        shown = {"position": None if place is None else place.position, "expected_wait_ms": expected}
        return _explained(_under_way("waiting", opened), opened, described) | shown
    # Settled, and not in Postgres yet.
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrevrange(keys.recent(tenant), count=100))
    for _, fields in entries:
        record: UsageRecord = decode_usage(fields[b"r"])
        if record.request == request:
            return _settled(msgspec.structs.asdict(record) | {"route": msgspec.to_builtins(record.route)})
    return None


def _under_way(state: str, opened: OpenRequest) -> dict[str, Any]:
    now = time.time()
    values = msgspec.to_builtins(opened)
    return {
        **{name: values.get(name) for name in ("request", "key", "model", "version", "api", "trace", "received_at")},
        "state": state,
        "priority": opened.priority,
        "node": opened.node or None,
        "node_name": opened.node_name or None,
        "shadow_of": opened.shadow_of or None,
        "attempts": opened.attempt,
        "queue_ms": round((now - opened.admitted_at) * 1000, 3) if state == "waiting" else None,
        "duration_ms": round((now - opened.received_at) * 1000, 3),
    }


def _explained(values: dict[str, Any], opened: OpenRequest, described: Described | None) -> dict[str, Any]:
    """With what its gateway says of it, where that answered in time."""
    if described is None:
        return values | {"why": "", "timeline": []}
    route, first = described.route, described.first_token_at
    times = Times(opened.received_at, described.started_at, first)
    return values | {
        "route": msgspec.to_builtins(route),
        "why": explanation.why(route),
        "timeline": explanation.timeline(route, times),
        "first_token_ms": None if first is None else round((first - opened.received_at) * 1000, 3),
        "completion_tokens": described.completion_tokens,
    }


def _settled(values: dict[str, Any]) -> dict[str, Any]:
    """Explained where its route is still kept."""
    ids = {"node": values["node"] or None, "shadow_of": values["shadow_of"] or None}
    found = {**values, **ids, "state": "settled", "why": "", "timeline": []}
    if values["route"] is None:
        return found
    route = msgspec.convert(values["route"], Route)
    return found | {
        "why": explanation.why(route, outcome=values["outcome"], error=values["error"]),
        "timeline": explanation.timeline(route, _times(values)),
        "cancelled_by": route.cancelled_by,
    }


def _times(values: Mapping[str, Any]) -> Times:
    received, first = float(values["received_at"]), values["first_token_ms"]
    return Times(
        received,
        None,
        None if first is None else received + first / 1000,
        received + values["duration_ms"] / 1000,
    )


@contextmanager
def _reachable(problem: str) -> Iterator[redis.Redis]:
    """Raises `Unavailable` when Redis is away."""
    try:
        yield regions.own().client
    except RedisError as error:
        _log.warning("redis_unreadable", error=str(error))
        raise Unavailable(problem, retry_after=1) from error

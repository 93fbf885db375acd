"""Reads requests: those that wait, those that run, and why each ran where it ran."""

from __future__ import annotations

import time
import uuid
from typing import Any, cast

import msgspec
from redis.exceptions import RedisError

from cluster.dispatch import queue_position
from cluster.dispatch.queue_position import QueuePositions
from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.contract import OpenRequest, UsageRecord, decode_open, decode_usage
from ollamamax.kernel.errors import NotFound, Unavailable
from ollamamax.metering import queries as metering

_log = logs.get(__name__)


def waiting(tenant: str) -> QueuePositions:
    """The line, with the tenant's own requests. Raises `Unavailable` when Redis is away."""
    try:
        return queue_position.read_own(regions.own().client, tenant)
    except RedisError as error:
        _log.warning("queue_unreadable", error=str(error))
        raise Unavailable("The queue cannot be read right now.", retry_after=1) from error


def find_request(request: uuid.UUID, tenant: str) -> dict[str, Any]:
    """One request of the tenant in scope, in whatever state. Raises `NotFound`. Queries: 1, or 2 for one that ended."""
    record = metering.find_record(request)
    if record is not None:
        values = {field.attname: getattr(record, field.attname) for field in record._meta.concrete_fields}
        values["received_at"] = record.received_at.timestamp()
        return _settled({**values, "route": metering.find_route(request)})
    try:
        found = _in_redis(request.hex, tenant)
    except RedisError as error:
        _log.warning("request_unreadable", error=str(error))
        raise Unavailable("Requests under way cannot be read right now.", retry_after=1) from error
    if found is None:
        raise NotFound("There is no such request.")
    return found


def _in_redis(request: str, tenant: str) -> dict[str, Any] | None:
    client = regions.own().client
    opened = cast("bytes | None", client.hget(keys.OPEN, request))
    if opened is not None and (running := decode_open(opened)).tenant == tenant:
        return _under_way("running", running)
    if client.exists(keys.queue_entry(request)):
        found = queue_position.read_own(client, tenant)
        for each in found.own:
            if each.request == request:
                place = found.places[request]
                return _under_way("waiting", each) | {
                    "position": place.position,
                    "expected_wait_ms": None if place.seconds is None else round(place.seconds * 1000),
                }
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
        "attempts": opened.attempt,
        "queue_ms": round((now - opened.admitted_at) * 1000, 3) if state == "waiting" else None,
        "duration_ms": round((now - opened.received_at) * 1000, 3),
    }


def _settled(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "node": values["node"] or None, "state": "settled"}

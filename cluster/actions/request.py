"""Writes of requests under way: to cancel one, and to give one that waits another class."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from cluster.dispatch import orders
from cluster.dispatch.orders import UnderWay
from cluster.scheduling.fairness import Priority
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.bus import regions
from ollamamax.contract import GatewayOrder
from ollamamax.identity.rights import require_in_tenant
from ollamamax.kernel.errors import Conflict, NotFound, Unavailable
from ollamamax.kernel.principal import Principal

_log = logs.get(__name__)


def cancel_request(*, acting: Principal, request_id: uuid.UUID) -> None:
    """Have the gateway that has it end a request that waits or runs, with an error in its protocol's own form.

    It is over within a second; its record says who cancelled it. Raises `Forbidden`, `NotFound` also for a request that is over or another
    tenant's, and `Unavailable` when its gateway cannot be told.
    """
    tenant = require_in_tenant(acting, "request.manage")
    with _reachable() as client:
        found = _found(client, request_id, tenant)
        with transaction.atomic(durable=True):
            record(
                acting=acting,
                action="request.cancel",
                target_type="request",
                target_id=request_id,
                tenant=tenant,
                detail=_told(found),
            )
        order = GatewayOrder("cancel", request_id.hex, by=acting.name)
        if not orders.say(client, found.opened.gateway, order):
            raise Unavailable(
                "The gateway that has this request does not answer; what it had ends in some seconds.", retry_after=5
            )


def prioritise_request(*, acting: Principal, request_id: uuid.UUID, priority: Priority) -> None:
    """Give a request that waits another class: its place among those of its own tenant, and of no other, follows.

    Raises as `cancel_request`, and `Conflict` for one that does not wait.
    """
    tenant = require_in_tenant(acting, "request.manage")
    with _reachable() as client:
        found = _found(client, request_id, tenant)
        before = found.opened.priority
        if found.waits and before == priority:
            return
        allowed = float(settings.ENV["OLLAMAMAX_REQUEST_DEADLINE_SECONDS"])
        if not found.waits or not orders.prioritise(client, found, priority, allowed):
            raise Conflict("This request does not wait any more.")
        with transaction.atomic(durable=True):
            record(
                acting=acting,
                action="request.prioritise",
                target_type="request",
                target_id=request_id,
                tenant=tenant,
                detail=_told(found) | {"before": before, "priority": priority},
            )
        orders.say(client, found.opened.gateway, GatewayOrder("prioritise", request_id.hex, priority=priority))


def _found(client: redis.Redis, request_id: uuid.UUID, tenant: uuid.UUID) -> UnderWay:
    found = orders.find(client, request_id.hex, tenant.hex)
    if found is None:
        raise NotFound("There is no such request under way.")
    return found


def _told(found: UnderWay) -> dict[str, str]:
    """What the audit trail says of it."""
    opened = found.opened
    state = "waiting" if found.waits else "running"
    told = {"model": opened.model, "key": opened.key, "state": state}
    return told | ({"node": opened.node_name} if opened.node_name else {})


@contextmanager
def _reachable() -> Iterator[redis.Redis]:
    try:
        yield regions.own().client
    except RedisError as error:
        _log.warning("gateway_not_told", error=str(error))
        raise Unavailable("Requests under way cannot be reached right now.", retry_after=1) from error

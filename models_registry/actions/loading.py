"""Carries out what placement plans: by hand or by itself, a few steps at a time, each planned anew from what is so then."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
from celery import current_app
from django.db import transaction
from redis.exceptions import RedisError

from cluster.placement.steps import ready_steps
from cluster.placement.terms import PlacementStep
from models_registry.models import ReplicationPolicy
from models_registry.queries.placement import PlacementSnapshot, planned
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.bus import keys, regions
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, Unavailable
from ollamamax.kernel.principal import Principal, system

CARRIED_SECONDS = 600
"""For so long a plan that somebody had carried out is gone on with."""
ASKED_SECONDS = 60
"""A step that was asked of a node is not asked again for so long."""
MOST_TOLD = 50
"""Steps that an audit record names."""
STAYS = -1.0
"""Ollama's word for a model that does not leave memory by itself."""
_log = logs.get(__name__)


@dataclass
class Carried:
    """Of one round: the steps that were asked of nodes, and those that wait, each with why."""

    asked: list[PlacementStep] = field(default_factory=list)
    waiting: list[tuple[PlacementStep, str]] = field(default_factory=list)


def number_of(found: PlacementSnapshot) -> str:
    """Names the steps of a plan: others have another one."""
    steps = [(each.verb, each.node, each.digest, each.source) for each in found.plan.steps]
    return hashlib.blake2b(msgspec.msgpack.encode(steps), digest_size=12).hexdigest()


def apply_placement(*, acting: Principal, plan: str) -> tuple[PlacementSnapshot, Carried]:
    """Have the plan of this number carried out: its first steps now, the others within ten minutes, each planned anew from what is so by then.

    Raises `Forbidden`, `Conflict` where the plan is another one by now, and `Unavailable` when Redis is away. Repeated, nothing is asked twice.
    """
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant):
        found = planned(tenant)
        if number_of(found) != plan:
            raise Conflict("The plan is another one by now: look at it again.")
        with transaction.atomic(durable=True):
            record(
                acting=acting,
                action="placement.apply",
                target_type="tenant",
                target_id=tenant,
                tenant=tenant,
                detail=_told(found, found.plan.steps),
            )
        try:
            client = regions.own().client
            client.set(keys.placement_applied(tenant.hex), b"1", ex=CARRIED_SECONDS)
            client.sadd(keys.PLACEMENTS_APPLIED, tenant.hex)
            return found, _carry_out(found)
        except RedisError:
            raise Unavailable("Nodes cannot be told right now.") from None


def is_applying(tenant: uuid.UUID) -> bool:
    """Whether a plan that somebody applied is being carried out. Raises `Unavailable` when Redis is away."""
    try:
        return bool(regions.own().client.exists(keys.placement_applied(tenant.hex)))
    except RedisError:
        raise Unavailable("That cannot be read right now.") from None


def stop_placement(*, acting: Principal) -> None:
    """Let nothing more be carried out of what somebody applied; what was asked of nodes goes on. Where terms say that plans are carried out by themselves, they are
    from then on, too. Raises `Forbidden`, and `Unavailable` when Redis is away."""
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        record(acting=acting, action="placement.stop", target_type="tenant", target_id=tenant, tenant=tenant, detail={})
    try:
        regions.own().client.delete(keys.placement_applied(tenant.hex))
    except RedisError:
        raise Unavailable("That cannot be told right now.") from None


def carry_on_placements(check: Callable[[], None] = lambda: None) -> int:
    """A round for each tenant whose terms say so, or that applied a plan lately. Returns how many steps were asked of nodes.

    ``check`` raises when another process does this by now. Queries: 1 where no tenant has any terms, else 2 and 10 for each that is carried on.
    """
    client = regions.own().client
    with every_tenant():
        automatic = set(
            ReplicationPolicy.objects.filter(model=None, terms__automatic=True).values_list("tenant_id", flat=True)
        )
    applied = cast("set[bytes]", client.smembers(keys.PLACEMENTS_APPLIED))
    asked = 0
    for tenant in sorted(automatic | {uuid.UUID(each.decode()) for each in applied}):
        if tenant not in automatic and not client.exists(keys.placement_applied(tenant.hex)):
            client.srem(keys.PLACEMENTS_APPLIED, tenant.hex)
            continue
        check()
        with tenant_scope(tenant):
            asked += _round(tenant)
    return asked


def _round(tenant: uuid.UUID) -> int:
    found = planned(tenant)
    if not found.plan.steps:
        regions.own().client.delete(keys.placement_applied(tenant.hex))
        return 0
    carried = _carry_out(found)
    if carried.asked:
        with transaction.atomic(durable=True):
            record(
                acting=system("placement", tenant.hex),
                action="placement.step",
                target_type="tenant",
                target_id=tenant,
                tenant=tenant,
                detail=_told(found, carried.asked),
            )
    return len(carried.asked)


def _carry_out(found: PlacementSnapshot) -> Carried:
    """Ask nodes for what can be done now. What was asked a moment ago is left in peace. Raises `RedisError`."""
    client = regions.own().client
    steps = ready_steps(found.plan.steps, found.free, found.loading)
    carried = Carried(waiting=steps.waiting)
    for step in steps.ready:
        if not client.set(keys.placement_asked(step.node, step.digest), step.verb, nx=True, ex=ASKED_SECONDS):
            carried.waiting.append((step, "it was asked of the node a moment ago"))
            continue
        _ask(step, found)
        carried.asked.append(step)
        _log.info("placement_step", verb=step.verb, node=step.node, version=step.digest, reason=step.reason)
    return carried


def _ask(step: PlacementStep, found: PlacementSnapshot) -> None:
    """A move is asked for as a load: once that is done, the plan unloads what is left over."""
    name = found.engine_names.get((step.node, step.digest), "")
    if step.verb == "unload":
        current_app.send_task(
            "cluster.unload_model",
            kwargs={"version": step.digest, "name": name},
            queue=keys.node_queue(step.node),
            expires=ASKED_SECONDS,
        )
        return
    load = found.loads.get(step.digest)
    # Without what it leaves to the engine: nodes of the release before know no such arguments.
    fixed = {} if load is None else msgspec.to_builtins(load)
    current_app.send_task(
        "cluster.load_model",
        kwargs={"version": step.digest, "name": name, "keep_alive": STAYS, **fixed},
        queue=keys.node_queue(step.node),
        expires=ASKED_SECONDS,
    )


def _told(found: PlacementSnapshot, steps: Sequence[PlacementStep]) -> dict[str, Any]:
    """Of an audit record."""
    told = [
        {
            "verb": step.verb,
            "model": found.version_names.get(step.digest, step.digest),
            "node": found.node_names.get(step.node, step.node),
            "reason": step.reason.value,
        }
        for step in steps[:MOST_TOLD]
    ]
    return {"steps": told, "count": len(steps)}

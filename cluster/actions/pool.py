"""Writes of pools. Whoever was granted a right on one has it on the nodes that are in it, so changing one is giving rights."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.db import IntegrityError, transaction

from cluster.labels import require_labels
from cluster.models import Node, Pool, PoolNode
from cluster.queries.pool import selects
from ollamamax.audit.actions import record
from ollamamax.identity.actions.grant import forget_object, tell_holders
from ollamamax.identity.bounds import POOLS, require_room
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

MOST_NODES = 1000
"""Put into one pool by hand: more are chosen by labels."""


def create_pool(
    *, acting: Principal, name: str, selector: Mapping[str, str] | None = None, nodes: Collection[uuid.UUID] = ()
) -> Pool:
    """Raises `Forbidden`, `InvalidRequest`, `NotFound` for a node of another tenant, and `Conflict` for a name that is taken."""
    tenant = require_in_tenant(acting, "node.manage")
    require_labels(selector or {}, "selector")
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(POOLS, Pool.objects.exclude(name=name))
            pool = Pool.objects.create(tenant_id=tenant, name=name, selector=dict(selector or {}))
            _put(pool, nodes)
            record(
                acting=acting,
                action="pool.create",
                target_type="pool",
                target_id=pool.id,
                tenant=tenant,
                detail={"name": name, "selector": pool.selector, "nodes": len(set(nodes))},
            )
    except IntegrityError as error:
        raise _explained(error) from error
    return pool


def change_pool(
    *,
    acting: Principal,
    pool_id: uuid.UUID,
    name: str | None = None,
    selector: Mapping[str, str] | None = None,
    nodes: Collection[uuid.UUID] | None = None,
) -> Pool:
    """What is ``None`` stays. Rights that were granted on the pool follow within a second. Raises as `create_pool` does."""
    tenant = require_in_tenant(acting, "node.manage")
    require_labels(selector or {}, "selector")
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            pool = _locked(pool_id)
            before = {"name": pool.name, "selector": pool.selector, "nodes": _held(pool)}
            pool.name = pool.name if name is None else name
            pool.selector = pool.selector if selector is None else dict(selector)
            if nodes is not None:
                PoolNode.objects.filter(pool=pool).exclude(node__in=nodes).delete()
                _put(pool, nodes)
            after = {"name": pool.name, "selector": pool.selector, "nodes": _held(pool)}
            if after == before:
                return pool
            pool.save(update_fields=["name", "selector", "changed_at"])
            record(
                acting=acting,
                action="pool.change",
                target_type="pool",
                target_id=pool.id,
                tenant=tenant,
                detail={"before": _told(before), "after": _told(after)},
            )
            tell_holders("pool", [pool.id])
    except IntegrityError as error:
        raise _explained(error) from error
    return pool


def delete_pool(*, acting: Principal, pool_id: uuid.UUID) -> None:
    """And what was granted on it; its nodes stay. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        pool = _locked(pool_id)
        record(
            acting=acting,
            action="pool.delete",
            target_type="pool",
            target_id=pool.id,
            tenant=tenant,
            detail={"name": pool.name},
        )
        forget_object("pool", pool.id)
        pool.delete()


def follow_labels(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """A node of the tenant in scope has other labels, and may be in other pools: whoever was granted them is told after the commit."""
    moved = [
        pool.pk
        for pool in Pool.objects.exclude(selector={})
        if selects(pool.selector, before) != selects(pool.selector, after)
    ]
    if moved:
        tell_holders("pool", moved)


def _locked(pool_id: uuid.UUID) -> Pool:
    found = Pool.objects.select_for_update().filter(pk=pool_id).first()
    if found is None:
        raise NotFound("There is no such pool.")
    return found


def _put(pool: Pool, nodes: Collection[uuid.UUID]) -> None:
    wanted = set(nodes)
    if len(wanted) > MOST_NODES:
        raise InvalidRequest(
            f"At most {MOST_NODES} nodes are put into a pool; more are chosen by labels.", param="nodes"
        )
    known = set(Node.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    if wanted - known:
        raise NotFound("There is no such node.")
    rows = [PoolNode(tenant_id=pool.tenant_id, pool=pool, node_id=node) for node in sorted(wanted)]
    PoolNode.objects.bulk_create(rows, ignore_conflicts=True)


def _held(pool: Pool) -> list[str]:
    return sorted(pk.hex for pk in PoolNode.objects.filter(pool=pool).values_list("node", flat=True))


def _told(state: Mapping[str, Any]) -> dict[str, Any]:
    return {**state, "nodes": len(state["nodes"])}


def _explained(error: IntegrityError) -> Conflict | InvalidRequest:
    if "cluster_pool_name_unique" in str(error):
        return Conflict("There is a pool of this name already.", param="name")
    return InvalidRequest("A pool's name has 1 to 63 small letters, digits and inner hyphens.", param="name")

"""Reads of pools, and of which nodes are in them now."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

from django.db.models import Q, QuerySet

from cluster.models import Node, Pool
from ollamamax.identity.queries.role import restrict
from ollamamax.identity.roles import reference
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal


def pools(acting: Principal) -> QuerySet[Pool]:
    """The pools of the tenant in scope whose nodes ``acting`` may see."""
    return restrict(acting, ("node.view", "node.manage"), "pool", Pool.objects.prefetch_related("members"))


def get_pool(acting: Principal, pool_id: uuid.UUID) -> Pool:
    """Raises `NotFound`, for a pool of another tenant, or that ``acting`` may not see, too."""
    found = pools(acting).filter(pk=pool_id).first()
    if found is None:
        raise NotFound("There is no such pool.")
    return found


def nodes_of(pool: Pool) -> QuerySet[Node]:
    """Those of its tenant that are in it now."""
    chosen = Q(in_pools__pool=pool)
    if pool.selector:
        chosen |= Q(labels__contains=pool.selector)
    return Node.objects.filter(chosen, tenant=pool.tenant_id).distinct()


def contents(pool_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, frozenset[str]]:
    """The nodes of each of these pools of the tenants in scope, as grants name them. Queries: 1, and 1 for each pool."""
    return {
        pool.pk: frozenset(reference("node", pk) for pk in nodes_of(pool).values_list("pk", flat=True))
        for pool in Pool.objects.filter(pk__in=pool_ids)
    }


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels is in a pool with this selector."""
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())

"""Reads nodes, with what they last said."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Count, Max, QuerySet
from redis.exceptions import RedisError

from cluster import guard
from cluster.models import JoinToken, Node
from cluster.telemetry import read
from ollamamax import logs
from ollamamax.bus import regions
from ollamamax.contract import NodeState
from ollamamax.identity.models import Tenant
from ollamamax.identity.queries.role import restrict
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

_log = logs.get(__name__)


def nodes(acting: Principal) -> QuerySet[Node]:
    """The nodes of the tenant in scope that ``acting`` may see."""
    return restrict(acting, ("node.view", "node.manage"), "node", Node.objects.all())


def fleet_mark() -> object:
    """Another one when a node has joined or was removed, for who looks often. Needs the scope `every_tenant`. Queries: 1."""
    return tuple(Node.objects.aggregate(Count("pk"), Max("joined_at")).values())


def get_node(acting: Principal, node_id: uuid.UUID) -> Node:
    """Raises `NotFound`, for a node of another tenant, and for one that ``acting`` may not see, too."""
    node = nodes(acting).filter(id=node_id).first()
    if node is None:
        raise NotFound("There is no such node.")
    return node


def of_tenants(tenant: Tenant | None) -> QuerySet[Node]:
    """The nodes of a tenant, or of all (``None``), with their tenants. Needs the scope `every_tenant`."""
    found = Node.objects.select_related("tenant").order_by("tenant__slug", "name")
    return found if tenant is None else found.filter(tenant=tenant)


def by_id_or_name(among: QuerySet[Node], text: str) -> list[Node]:
    """The node with this id, or the nodes of this name: tenants may use the same one."""
    try:
        found = list(among.filter(id=uuid.UUID(text)))
    except ValueError:
        found = []
    return found or list(among.filter(name=text))


def join_tokens() -> QuerySet[JoinToken]:
    """The join tokens of the tenant in scope."""
    return JoinToken.objects.all()


@dataclass(frozen=True)
class Heard:
    """By node id (hex): what it said last, of those that are alive; and what is wrong with what it says, where something is."""

    states: dict[str, NodeState] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def states(found: Iterable[Node]) -> dict[str, NodeState]:
    """Telemetry by node id (hex), of those that are alive; nothing when Redis is away. One round trip to Redis."""
    return heard(found).states


def heard(found: Iterable[Node]) -> Heard:
    """Nothing when Redis is away. Three round trips to it."""
    ids = [node.id.hex for node in found]
    client = regions.own().client
    try:
        told = read(client, ids)
        return Heard(told.states, guard.problems(client, ids, told.ignored))
    except RedisError as error:
        _log.warning("telemetry_unreadable", error=str(error))
        return Heard()

"""Nodes join, are drained and resumed, are described and shared, and leave."""

from __future__ import annotations

import datetime
import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, cast

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from cluster import membership
from cluster.actions.join_token import require_to_join
from cluster.actions.lifecycle import is_draining
from cluster.actions.pool import follow_labels
from cluster.labels import require_labels
from cluster.lifecycle.machine import Lifecycle, NodeFacts, following
from cluster.models import JoinToken, Node
from cluster.models.node import MOST_HOURLY_COST
from cluster.queries.node import states
from cluster.scheduling.taints import FORM, MOST_TAINTS, is_taint
from ollamamax.audit.actions import record
from ollamamax.contract.tables import EVERYBODY
from ollamamax.identity.actions.grant import forget_object
from ollamamax.identity.bounds import NODES, require_room
from ollamamax.identity.keys import make_key, matches, parse_key
from ollamamax.identity.queries.tenant import is_operator, known_tenants
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.roles import reference
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal, system

_REGION = re.compile(r"[a-z0-9-]{0,63}", re.ASCII)
MOST_ACCESS = 1000
"""Tenants in a node's list: who serves more serves everybody."""
_REFUSED = "The join token is wrong, expired, revoked or used up."


@dataclass(frozen=True)
class Joined:
    """What the host must keep: both secrets are stored here as hashes only."""

    node: Node
    secret: str
    redis_password: str


def join_node(*, token: str, name: str, engine: str, agent_version: str) -> Joined:
    """Exchange a join token for an identity. Raises `Unauthenticated` for a token that is not good, `Conflict` for a taken name,
    and `Forbidden` for a tenant that may not join nodes.

    The acting principal is the token itself.
    """
    parsed = parse_key(token, "join")
    if parsed is None:
        raise errors.Unauthenticated(_REFUSED)
    identifier, secret = parsed
    with every_tenant():
        found = JoinToken.objects.filter(identifier=identifier).first()
    if found is None or not matches(secret, found.secret_hash):
        raise errors.Unauthenticated(_REFUSED)
    # It may have been issued before the operator took that away.
    require_to_join(found.tenant_id)
    key = make_key("node")
    redis_password = secrets.token_urlsafe(32)
    acting = system(f"join-token:{found.id.hex}", found.tenant_id.hex)
    with tenant_scope(found.tenant_id), transaction.atomic(durable=True):
        # Two hosts may use the last use at once: the conditional update lets one through.
        claimed = JoinToken.objects.filter(
            id=found.id, uses__lt=F("max_uses"), expires_at__gt=timezone.now(), revoked_at=None
        ).update(uses=F("uses") + 1)
        if not claimed:
            raise errors.Unauthenticated(_REFUSED)
        require_room(NODES, Node.objects.exclude(name=name))
        try:
            with transaction.atomic():
                node = Node.objects.create(
                    tenant_id=found.tenant_id,
                    name=name,
                    engine=engine,
                    identifier=key.identifier,
                    secret_hash=key.secret_hash,
                    redis_password_hash=hashlib.sha256(redis_password.encode()).hexdigest(),
                    agent_version=agent_version,
                )
        except IntegrityError as error:
            if "cluster_node_name_unique" in str(error):
                raise errors.Conflict(f"There is a node named '{name}' already.", param="name") from None
            raise errors.InvalidRequest(
                "A node's name has up to 100 letters, digits, dots, hyphens and underscores.", param="name"
            ) from None
        record(
            acting=acting,
            action="node.join",
            target_type="node",
            target_id=node.id,
            tenant=found.tenant_id,
            detail={"name": name, "engine": engine},
        )
        membership.publish_on_commit(node)
    return Joined(node, key.text, redis_password)


MOST_DRAIN_SECONDS = 7 * 86_400


class NodeChange(TypedDict, total=False):
    """What is left out stays as it is. ``labels`` takes the place of all labels there were, ``taints`` of all taints, and ``access`` of all tenants.

    ``schedulable: False`` cordons: no new requests, and what runs ends when it ends. With ``drain_seconds`` it drains: what runs
    after so many seconds is ended there, and goes on elsewhere where it can.
    """

    schedulable: bool
    access: list[str]
    region: str
    labels: dict[str, str]
    taints: list[str]
    hourly_cost: float | None
    drain_seconds: float


def change_node(*, acting: Principal, node_id: uuid.UUID, change: NodeChange) -> Node:
    """Change what routing knows of a node. Where nothing differs, nothing happens.

    Only a node of the operator's tenant serves others. Raises `Forbidden`, `NotFound` and `InvalidRequest`.
    """
    tenant = require_in_tenant(acting, "node.manage", reference("node", node_id))
    _check(change)
    if change.get("access") and not is_operator(tenant):
        raise errors.Forbidden("Only nodes of the operator of this installation serve other tenants.", param="access")
    if "access" in change:
        change = {**change, "access": _served(change["access"])}
    with tenant_scope(tenant), transaction.atomic(durable=True):
        node = _locked(node_id)
        changed = change_locked(node, change)
        if changed is not None:
            record(
                acting=acting,
                action=changed.action,
                target_type="node",
                target_id=node.id,
                tenant=node.tenant_id,
                detail=changed.detail,
            )
        return node


class ChangedNode(NamedTuple):
    """What the audit trail is told of a change."""

    action: str
    detail: Mapping[str, Any]


def change_locked(node: Node, change: NodeChange) -> ChangedNode | None:
    """Within a transaction that has the node locked, in the tenant's scope: the same, of a change that was checked. ``None`` where nothing differs."""
    changed = {name: value for name, value in _fields(node, change).items() if getattr(node, name) != value}
    if not changed:
        return None
    if "labels" in changed:
        follow_labels(node.labels, change["labels"])
    for name, value in changed.items():
        setattr(node, name, value)
    followed = _follow_order(node)
    node.save(update_fields=[*changed, *followed])
    membership.publish_on_commit(node)
    return ChangedNode(_action(changed), _detail(changed, change) | ({"state": node.lifecycle} if followed else {}))


def remove_node(*, acting: Principal, node_id: uuid.UUID) -> None:
    """Take the node out: its Redis user and its key stop working at once, its replicas are forgotten."""
    tenant = require_in_tenant(acting, "node.manage", reference("node", node_id))
    with tenant_scope(tenant), transaction.atomic(durable=True):
        node = _locked(node_id)
        detail = {"name": node.name, "from": node.lifecycle, "state": "retired"}
        record(acting=acting, action="node.remove", target_type="node", target_id=node.id, tenant=tenant, detail=detail)
        forget_object("node", node.id)
        membership.publish_on_commit(Node(id=node.id, identifier=node.identifier))
        node.delete()


_DRAIN = ("drain_since", "drain_until", "drain_running")


def _fields(node: Node, change: NodeChange) -> dict[str, object]:
    """What the row is to hold. Raises `InvalidRequest`."""
    fields: dict[str, object] = {name: value for name, value in change.items() if name != "drain_seconds"}
    seconds = change.get("drain_seconds")
    if seconds is not None and change.get("schedulable") is not False:
        raise errors.InvalidRequest("A node drains when it is told 'schedulable: false'.", param="drain_seconds")
    if seconds is not None:
        now = timezone.now()
        state = states([node]).get(node.id.hex)
        fields["drain_since"], fields["drain_until"] = now, now + datetime.timedelta(seconds=seconds)
        fields["drain_running"] = None if state is None else state.running
    elif "schedulable" in change:
        fields |= dict.fromkeys(_DRAIN)
    return fields


def _follow_order(node: Node) -> tuple[str, ...]:
    """A node that is there is in the state that was ordered at once; of one that is not the order counts when it is back."""
    known = NodeFacts(node.schedulable, is_draining(node, drained=False), "unsure")
    state = following(cast("Lifecycle", node.lifecycle), known)
    if state == node.lifecycle:
        return ()
    node.lifecycle, node.lifecycle_since = state, timezone.now()
    return "lifecycle", "lifecycle_since"


def _action(changed: Mapping[str, object]) -> str:
    if set(changed) - {"schedulable", *_DRAIN}:
        return "node.change"
    if changed.get("drain_until") is not None:
        return "node.drain"
    return "node.resume" if changed.get("schedulable") else "node.cordon"


def _detail(changed: Mapping[str, object], change: NodeChange) -> dict[str, object]:
    told = {name: value for name, value in changed.items() if name not in _DRAIN}
    return told | ({"drain_seconds": change["drain_seconds"]} if changed.get("drain_until") is not None else {})


def _check(change: NodeChange) -> None:
    if _REGION.fullmatch(change.get("region", "")) is None:
        raise errors.InvalidRequest("A region has up to 63 small letters, digits and hyphens.", param="region")
    require_labels(change.get("labels", {}))
    taints = change.get("taints", [])
    if len(set(taints)) != len(taints) or len(taints) > MOST_TAINTS or not all(map(is_taint, taints)):
        raise errors.InvalidRequest(f"A node has at most {MOST_TAINTS} taints, each once: {FORM}.", param="taints")
    cost = change.get("hourly_cost")
    # Also what compares with nothing, such as NaN, is no cost.
    if cost is not None and not 0 <= cost <= MOST_HOURLY_COST:
        raise errors.InvalidRequest("What a node costs an hour is between 0 and a million.", param="hourly_cost")


def _served(access: Sequence[str]) -> list[str]:
    """Each tenant once, in the form in which the directory names them. Queries: 1. Raises `InvalidRequest`."""
    if EVERYBODY in access:
        return [EVERYBODY]
    try:
        ids = {uuid.UUID(each) for each in access}
    except ValueError:
        raise errors.InvalidRequest("A tenant is named by its id, or all by '*'.", param="access") from None
    unknown = ids - known_tenants(ids)
    if unknown:
        raise errors.InvalidRequest(f"There is no tenant {min(unknown)}.", param="access")
    return sorted(each.hex for each in ids)


def _locked(node_id: uuid.UUID) -> Node:
    node = Node.objects.select_for_update().filter(id=node_id).first()
    if node is None:
        raise errors.NotFound("There is no such node.")
    return node

"""Nodes join, are drained and resumed, and leave."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from redis.exceptions import RedisError

from cluster import membership
from cluster.models import JoinToken, Node
from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.keys import make_key, matches, parse_key
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal, system

_log = logs.get(__name__)
_REFUSED = "The join token is wrong, expired, revoked or used up."


@dataclass(frozen=True)
class Joined:
    """What the host must keep: both secrets are stored here as hashes only."""

    node: Node
    secret: str
    redis_password: str


def join_node(*, token: str, name: str, engine: str, agent_version: str) -> Joined:
    """Exchange a join token for an identity. Raises `Unauthenticated` for a token that is not good, `Conflict` for a taken name.

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
    _announce(node)
    return Joined(node, key.text, redis_password)


def set_schedulable(*, acting: Principal, node_id: uuid.UUID, schedulable: bool) -> Node:
    """Drain (``False``): new requests go elsewhere, running ones finish. Resume (``True``). Repeated, nothing happens."""
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        node = _locked(node_id)
        if node.schedulable == schedulable:
            return node
        node.schedulable = schedulable
        node.save(update_fields=["schedulable"])
        action = "node.resume" if schedulable else "node.drain"
        record(acting=acting, action=action, target_type="node", target_id=node.id, tenant=tenant)
    _announce(node)
    return node


def remove_node(*, acting: Principal, node_id: uuid.UUID) -> None:
    """Take the node out: its Redis user and its key stop working at once, its replicas are forgotten."""
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        node = _locked(node_id)
        detail = {"name": node.name}
        record(acting=acting, action="node.remove", target_type="node", target_id=node.id, tenant=tenant, detail=detail)
        gone = Node(id=node.id, identifier=node.identifier)
        node.delete()
    try:
        membership.withdraw(gone)
    except RedisError as error:
        _log.warning("node_not_withdrawn_yet", node=gone.id.hex, error=str(error))


def _locked(node_id: uuid.UUID) -> Node:
    node = Node.objects.select_for_update().filter(id=node_id).first()
    if node is None:
        raise errors.NotFound("There is no such node.")
    return node


def _announce(node: Node) -> None:
    """Tell the data plane. When Redis is away the loop `cluster.observe_nodes` does it later."""
    try:
        membership.announce(node)
    except RedisError as error:
        _log.warning("node_not_announced_yet", node=node.id.hex, error=str(error))

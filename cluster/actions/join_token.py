"""Issue and revoke join tokens."""

from __future__ import annotations

import datetime
import uuid

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from cluster.models import JoinToken
from ollamamax.audit.actions import record
from ollamamax.identity.bounds import JOIN_TOKENS, require_room
from ollamamax.identity.keys import make_key
from ollamamax.identity.queries.tenant import may_join_nodes
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal

LONGEST = datetime.timedelta(days=30)
MOST_USES = 10_000


def issue_join_token(*, acting: Principal, lifetime: datetime.timedelta, max_uses: int) -> tuple[JoinToken, str]:
    """A token with which up to ``max_uses`` hosts may join within ``lifetime``.

    Its text is returned once and not kept. Raises `InvalidRequest`, and `Forbidden` where the operator did not allow the tenant to join nodes.
    """
    tenant = require_in_tenant(acting, "node.manage")
    require_to_join(tenant)
    if not datetime.timedelta(minutes=1) <= lifetime <= LONGEST:
        raise errors.InvalidRequest("A join token lives between a minute and 30 days.", param="expires_in")
    if not 1 <= max_uses <= MOST_USES:
        raise errors.InvalidRequest(f"A join token has between 1 and {MOST_USES} uses.", param="max_uses")
    made = make_key("join")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        usable = JoinToken.objects.filter(revoked_at=None, expires_at__gt=timezone.now(), uses__lt=F("max_uses"))
        require_room(JOIN_TOKENS, usable)
        token = JoinToken.objects.create(
            tenant_id=tenant,
            identifier=made.identifier,
            secret_hash=made.secret_hash,
            max_uses=max_uses,
            expires_at=timezone.now() + lifetime,
        )
        record(
            acting=acting,
            action="join_token.issue",
            target_type="join_token",
            target_id=token.id,
            tenant=tenant,
            detail={"max_uses": max_uses, "expires_at": token.expires_at.isoformat()},
        )
    return token, made.text


def require_to_join(tenant: uuid.UUID) -> None:
    """Raises `Forbidden` for a tenant whose hosts may not become nodes: a node is let into this installation's Redis."""
    if not may_join_nodes(tenant):
        raise errors.Forbidden(
            "This tenant may not join nodes. The operator of the installation allows it, with 'may_join_nodes'.",
            permission="node.manage",
        )


def revoke_join_token(*, acting: Principal, token_id: uuid.UUID) -> JoinToken:
    """No host can join with it any more; nodes that did stay. For a token that is revoked already, nothing happens."""
    tenant = require_in_tenant(acting, "node.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        token = JoinToken.objects.select_for_update().filter(id=token_id).first()
        if token is None:
            raise errors.NotFound("There is no such join token.")
        if token.revoked_at is not None:
            return token
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        record(acting=acting, action="join_token.revoke", target_type="join_token", target_id=token.id, tenant=tenant)
    return token

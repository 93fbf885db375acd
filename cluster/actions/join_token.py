"""Issue and revoke join tokens."""

from __future__ import annotations

import datetime
import uuid

from django.db import transaction
from django.utils import timezone

from cluster.models import JoinToken
from ollamamax.audit import actions as audit
from ollamamax.identity.keys import make_key
from ollamamax.kernel import errors
from ollamamax.kernel.principal import Principal

LONGEST = datetime.timedelta(days=30)


def issue_join_token(
    *, acting: Principal, tenant: uuid.UUID, lifetime: datetime.timedelta, max_uses: int
) -> tuple[JoinToken, str]:
    """A token with which up to ``max_uses`` hosts may join within ``lifetime``. Its text is returned once and not kept."""
    if not datetime.timedelta(minutes=1) <= lifetime <= LONGEST:
        raise errors.InvalidRequest("A join token lives between a minute and 30 days.", param="expires_in")
    if not 1 <= max_uses <= 10_000:
        raise errors.InvalidRequest("A join token has between 1 and 10000 uses.", param="max_uses")
    made = make_key("join")
    with transaction.atomic(durable=True):
        token = JoinToken.objects.create(
            tenant_id=tenant,
            identifier=made.identifier,
            secret_hash=made.secret_hash,
            max_uses=max_uses,
            expires_at=timezone.now() + lifetime,
        )
        audit.record(
            acting=acting,
            action="join_token.issue",
            target_type="join_token",
            target_id=token.id,
            tenant=tenant,
            detail={"max_uses": max_uses, "expires_at": token.expires_at.isoformat()},
        )
    return token, made.text


def revoke_join_token(*, acting: Principal, tenant: uuid.UUID, token: uuid.UUID) -> JoinToken:
    """No host can join with it any more; nodes that did stay. Revoking twice is an error."""
    with transaction.atomic(durable=True):
        found = JoinToken.objects.select_for_update().filter(id=token).first()
        if found is None:
            raise errors.NotFound("There is no such join token.")
        if found.revoked_at is not None:
            raise errors.Conflict("This join token is revoked already.")
        found.revoked_at = timezone.now()
        found.save(update_fields=["revoked_at"])
        audit.record(
            acting=acting, action="join_token.revoke", target_type="join_token", target_id=found.id, tenant=tenant
        )
    return found

"""Writes of a page's tokens: keys of some minutes for the page of one session, which end with it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory
from ollamamax.identity.keys import make_key
from ollamamax.identity.models import ApiKey, UserSession
from ollamamax.identity.rights import require_in_tenant, tenant_of
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Forbidden
from ollamamax.kernel.principal import Principal

LIFETIME = datetime.timedelta(minutes=10)
PERMISSIONS = frozenset({"inference.use", "model.view"})
MOST_OF_SESSION = 8
"""Tokens of one session that work at once; the oldest gives way."""


def issue_playground_token(*, acting: Principal, session: UserSession) -> tuple[ApiKey, str]:
    """A key for inference alone, in the tenant that the session acts in; returns it with its text, which is not kept.

    It works for `LIFETIME`, never longer than its session, and may what its user may. It is no key of the management API and stands in no
    list of keys. Raises `Forbidden` for who may use no model, and `Unavailable` while Redis takes no writes.
    """
    permissions = sorted(name for name in PERMISSIONS if acting.may_somewhere(name))
    if "inference.use" not in permissions or acting.kind != "user":
        raise Forbidden("This needs the permission 'inference.use'.", permission="inference.use")
    tenant = tenant_of(acting)
    directory.require_writable()
    with tenant_scope(tenant), transaction.atomic(durable=True):
        token, text = _made(tenant, session, "Playground", permissions, by=acting)
        record(
            acting=acting,
            action="playground.issue_token",
            target_type="key",
            target_id=token.id,
            tenant=tenant,
            detail={"identifier": token.identifier, "expires_at": token.expires_at},
        )
    return token, text


def issue_upload_key(*, acting: Principal, session: UserSession) -> ApiKey:
    """A key by which the page of a session sends files to the registry, as long as a playground's. Its text is given to nobody: what is made of it for
    one repository is enough.

    Raises `Forbidden` for who may not manage models, or is no user, and `Unavailable` while Redis takes no writes.
    """
    tenant = require_in_tenant(acting, "model.manage")
    if acting.kind != "user":
        raise Forbidden("This is for who logged in.")
    directory.require_writable()
    with tenant_scope(tenant), transaction.atomic(durable=True):
        key, _ = _made(tenant, session, "Upload", ["model.manage", "model.view"], by=acting)
        record(
            acting=acting,
            action="upload.issue_token",
            target_type="key",
            target_id=key.id,
            tenant=tenant,
            detail={"identifier": key.identifier, "expires_at": key.expires_at},
        )
    return key


def _made(
    tenant: uuid.UUID, session: UserSession, name: str, permissions: list[str], *, by: Principal
) -> tuple[ApiKey, str]:
    """A key of the session in the tenant in scope, in a transaction of the caller's, and its text. Queries: 4, or 6."""
    made = make_key()
    # Of two at once the second waits: neither misses what the other made.
    UserSession.objects.select_for_update().get(pk=session.pk)
    held = ApiKey.objects.filter(session=session, revoked_at=None, expires_at__gt=timezone.now())
    old = held.order_by("-created_at", "-id")[MOST_OF_SESSION - 1 :]
    revoke_on_commit(list(old.values_list("pk", flat=True)))
    token = ApiKey.objects.create(
        tenant_id=tenant,
        created_by_id=uuid.UUID(by.id),
        created_by_name=by.name,
        of_session=True,
        session=session,
        name=f"{name} {made.identifier}",
        identifier=made.identifier,
        secret_hash=made.secret_hash,
        permissions=permissions,
        expires_at=timezone.now() + LIFETIME,
    )
    directory.publish_key_on_commit(token)
    return token, made.text


def end_tokens_on_commit(sessions: Iterable[uuid.UUID]) -> None:
    """In the transaction that ends these sessions: what runs with their tokens ends within a second after it. Queries: 2, or 3."""
    with every_tenant():
        revoke_on_commit(
            list(ApiKey.objects.filter(session__in=list(sessions), revoked_at=None).values_list("pk", flat=True))
        )


def revoke_on_commit(tokens: list[uuid.UUID]) -> None:
    """Revoke these tokens of the tenants in scope, in a transaction of the caller's."""
    if tokens:
        rows = ApiKey.objects.filter(pk__in=tokens)
        directory.publish_keys_on_commit(rows)
        rows.update(revoked_at=timezone.now())

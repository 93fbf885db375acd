"""Writes of API keys."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory
from ollamamax.identity.keys import make_key
from ollamamax.identity.models import ApiKey
from ollamamax.identity.queries import key as queries
from ollamamax.identity.rights import require, require_to_grant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

DEFAULT_PERMISSIONS = frozenset({"inference.use", "model.view"})


def issue_key(
    *,
    acting: Principal,
    name: str,
    permissions: Iterable[str] | None = None,
    expires_at: datetime.datetime | None = None,
    created_by: uuid.UUID | None = None,
) -> tuple[ApiKey, str]:
    """Make a key in the tenant of ``acting``; returns it with its text, which is not kept and cannot be had again.

    ``permissions`` default to what inference needs, and never exceed those of ``acting``. ``created_by`` is for the
    system, which makes keys for others. Raises `InvalidRequest` and `Forbidden`.
    """
    require(acting, "key.manage")
    if acting.tenant is None:
        raise InvalidRequest("A key belongs to a tenant, and none was named.", param="tenant")
    if not name.strip() or len(name) > 100:
        raise InvalidRequest("A key's name has 1 to 100 characters.", param="name")
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidRequest("A key cannot expire in the past.", param="expires_at")
    granted = sorted(DEFAULT_PERMISSIONS if permissions is None else frozenset(permissions))
    if not granted:
        raise InvalidRequest("A key without permissions is of no use.", param="permissions")
    require_to_grant(acting, granted)
    made = make_key()
    with tenant_scope(acting.tenant), transaction.atomic(durable=True):
        key = ApiKey.objects.create(
            tenant_id=uuid.UUID(acting.tenant),
            created_by_id=created_by if acting.kind == "system" else queries.person_behind(acting),
            name=name.strip(),
            identifier=made.identifier,
            secret_hash=made.secret_hash,
            permissions=granted,
            expires_at=expires_at,
        )
        record(
            acting=acting,
            action="key.issue",
            target_type="key",
            target_id=key.id,
            tenant=key.tenant_id,
            detail={
                "name": key.name,
                "identifier": key.identifier,
                "permissions": granted,
                "expires_at": expires_at,
            },
        )
        directory.publish_key_on_commit(key)
    return key, made.text


def revoke_key(*, acting: Principal, key_id: uuid.UUID) -> ApiKey:
    """Make a key useless for ever; for a key that is revoked already, nothing happens.

    Who may not manage members revokes their own keys only. Raises `NotFound` also for keys of others.
    """
    require(acting, "key.manage")
    if acting.tenant is None:
        raise NotFound("There is no such key.")
    with tenant_scope(acting.tenant), transaction.atomic(durable=True):
        key = queries.restrict(acting, ApiKey.objects.select_for_update()).filter(pk=key_id).first()
        if key is None:
            raise NotFound("There is no such key.")
        if key.revoked_at is not None:
            return key
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
        record(
            acting=acting,
            action="key.revoke",
            target_type="key",
            target_id=key.id,
            tenant=key.tenant_id,
            detail={"name": key.name, "identifier": key.identifier},
        )
        directory.publish_key_on_commit(key)
    return key

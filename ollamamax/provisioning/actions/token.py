"""Writes of the tokens by which directories come."""

from __future__ import annotations

import datetime
import uuid

from django.db import transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity.bounds import SCIM_TOKENS, require_room
from ollamamax.identity.keys import make_key
from ollamamax.identity.queries.tenant import get_tenant
from ollamamax.identity.rights import require_in_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.principal import Principal
from ollamamax.provisioning.models import ScimToken
from ollamamax.provisioning.queries.directory import get_token
from ollamamax.sso.actions.rule import require_to_give_all
from ollamamax.sso.queries.provider import get_provider

LONGEST_DAYS = 3650
LONGEST_OVERLAP_HOURS = 24 * 30


def issue_token(
    *, acting: Principal, provider_id: uuid.UUID, name: str, expires_in_days: int | None = None
) -> tuple[ScimToken, str]:
    """Let a directory tell of the people of this provider's; its text is returned once and not kept.

    From now on whoever logs in by the provider must be in the directory. Whoever has the token says who is in which group, and so who has which role:
    ``acting`` may give all roles that the provider gives. Raises `Forbidden`, `NotFound`, `InvalidRequest` and `Conflict`.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    name = _named(name)
    expires_at = None
    if expires_in_days is not None:
        if not 1 <= expires_in_days <= LONGEST_DAYS:
            raise InvalidRequest(f"A token lives between 1 and {LONGEST_DAYS} days.", param="expires_in_days")
        expires_at = timezone.now() + datetime.timedelta(days=expires_in_days)
    made = make_key("scim")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        provider = get_provider(provider_id)
        require_to_give_all(acting, get_tenant(tenant_id), provider)
        require_room(SCIM_TOKENS, ScimToken.objects.filter(revoked_at=None))
        token = ScimToken.objects.create(
            tenant_id=tenant_id,
            provider=provider,
            name=name,
            identifier=made.identifier,
            secret_hash=made.secret_hash,
            created_by_name=acting.name[:254],
            expires_at=expires_at,
        )
        record(
            acting=acting,
            action="scim.issue_token",
            target_type="scim_token",
            target_id=token.pk,
            tenant=tenant_id,
            detail={"name": name, "provider": provider.name, "expires_at": expires_at and expires_at.isoformat()},
        )
    return token, made.text


def rotate_token(
    *, acting: Principal, provider_id: uuid.UUID, token_id: uuid.UUID, overlap_hours: int
) -> tuple[ScimToken, str]:
    """Another token of the same name and end; the one before is taken for ``overlap_hours`` more. Raises as `issue_token` does."""
    tenant_id = require_in_tenant(acting, "sso.manage")
    if not 0 <= overlap_hours <= LONGEST_OVERLAP_HOURS:
        raise InvalidRequest(f"The overlap is between 0 and {LONGEST_OVERLAP_HOURS} hours.", param="overlap_hours")
    made = make_key("scim")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        ScimToken.objects.select_for_update().filter(pk=token_id).first()
        before = get_token(provider_id, token_id)
        require_to_give_all(acting, get_tenant(tenant_id), get_provider(provider_id))
        require_room(SCIM_TOKENS, ScimToken.objects.filter(revoked_at=None))
        token = ScimToken.objects.create(
            tenant_id=tenant_id,
            provider_id=provider_id,
            name=before.name,
            identifier=made.identifier,
            secret_hash=made.secret_hash,
            created_by_name=acting.name[:254],
            expires_at=before.expires_at,
        )
        end = timezone.now() + datetime.timedelta(hours=overlap_hours)
        before.expires_at = end if before.expires_at is None else min(end, before.expires_at)
        before.save(update_fields=["expires_at"])
        record(
            acting=acting,
            action="scim.rotate_token",
            target_type="scim_token",
            target_id=token.pk,
            tenant=tenant_id,
            detail={"name": token.name, "before": before.pk.hex, "until": before.expires_at.isoformat()},
        )
    return token, made.text


def revoke_token(*, acting: Principal, provider_id: uuid.UUID, token_id: uuid.UUID) -> None:
    """It is refused from now on. With the last one the directory decides no more who may come. Raises `Forbidden` and `NotFound`."""
    tenant_id = require_in_tenant(acting, "sso.manage")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        ScimToken.objects.select_for_update().filter(pk=token_id).first()
        token = get_token(provider_id, token_id)
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
        record(
            acting=acting,
            action="scim.revoke_token",
            target_type="scim_token",
            target_id=token.pk,
            tenant=tenant_id,
            detail={"name": token.name},
        )


def note_token_use(token: ScimToken) -> None:
    """At most once a minute. Queries: 0 or 1."""
    now = timezone.now()
    if token.used_at is None or now - token.used_at > datetime.timedelta(minutes=1):
        with tenant_scope(token.tenant_id):
            ScimToken.objects.filter(pk=token.pk).update(used_at=now)


def _named(name: str) -> str:
    if not name.strip() or len(name) > 100:
        raise InvalidRequest("A token's name has 1 to 100 characters.", param="name")
    return name.strip()

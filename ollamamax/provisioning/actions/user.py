"""Writes of a directory's users."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity.bounds import DIRECTORY_USERS, require_room
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound, PreconditionFailed
from ollamamax.kernel.principal import Principal
from ollamamax.provisioning.actions.settling import remove, settle
from ollamamax.provisioning.models import DirectoryGroup, DirectoryUser, GroupMember
from ollamamax.sso.models import IdentityProvider

MOST_BYTES = 64 * 1024
"""Of one user, as JSON."""
_TAKEN = "There is a user with this userName already."


def create_directory_user(
    *, acting: Principal, provider: IdentityProvider, resource: Mapping[str, Any]
) -> DirectoryUser:
    """Somebody the directory tells of, with an account and a membership where that may be (`DirectoryUser.waits`).

    ``resource`` is the SCIM user in JSON. Raises `InvalidRequest`, and `Conflict` for a user name that is taken, or one too many.
    """
    row = DirectoryUser(tenant_id=provider.tenant_id, provider=provider)
    _take(row, resource)
    try:
        with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
            require_room(DIRECTORY_USERS, DirectoryUser.objects.filter(removed_at=None))
            row.save(force_insert=True)
            settle(row, provider, by=acting)
            record(acting=acting, action="scim.create_user", tenant=provider.tenant_id, **_told(row))
    except IntegrityError as error:
        raise Conflict(_TAKEN, param="userName") from error
    return row


def change_directory_user(
    *,
    acting: Principal,
    provider: IdentityProvider,
    user_id: uuid.UUID,
    resource: Mapping[str, Any],
    expected: int | None = None,
) -> DirectoryUser:
    """The directory's whole new word of somebody; not active suspends the membership, and what runs for them ends.

    Raises `InvalidRequest`, `NotFound`, `PreconditionFailed` where the version is not ``expected``, and `Conflict`.
    """
    try:
        with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
            row = _locked(provider, user_id, expected)
            was_active = row.active
            _take(row, resource)
            row.version += 1
            settle(row, provider, by=acting)
            told = _told(row, {} if was_active == row.active else {"active": row.active})
            record(acting=acting, action="scim.change_user", tenant=provider.tenant_id, **told)
    except IntegrityError as error:
        raise Conflict(_TAKEN, param="userName") from error
    return row


def remove_directory_user(
    *, acting: Principal, provider: IdentityProvider, user_id: uuid.UUID, expected: int | None = None
) -> None:
    """The membership ends, and what runs for them. Raises `NotFound`, `PreconditionFailed`, and `Conflict` for the last owner."""
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        row = _locked(provider, user_id, expected)
        told = _told(row)
        remove(row, by=acting)
        groups = GroupMember.objects.filter(user=row)
        for group in DirectoryGroup.objects.select_for_update().filter(pk__in=groups.values("group")).order_by("pk"):
            group.version += 1
            group.save(update_fields=["version", "changed_at"])
        groups.delete()
        if row.made_account:
            row.user_name, row.external_id, row.address, row.resource = row.pk.hex, "", "", {}
            row.active, row.waits, row.removed_at = False, DirectoryUser.Waits.NOTHING, timezone.now()
            row.save()
        else:
            row.delete()
        record(acting=acting, action="scim.remove_user", tenant=provider.tenant_id, **told)


def _locked(provider: IdentityProvider, user_id: uuid.UUID, expected: int | None) -> DirectoryUser:
    rows = DirectoryUser.objects.select_for_update(of=("self",)).select_related("membership__role", "membership__user")
    row = rows.filter(provider=provider, removed_at=None, pk=user_id).first()
    if row is None:
        raise NotFound("There is no such user.")
    if expected is not None and row.version != expected:
        raise PreconditionFailed("The user was changed since.")
    return row


def _take(row: DirectoryUser, resource: Mapping[str, Any]) -> None:
    kept = {name: value for name, value in resource.items() if name not in {"id", "meta", "groups", "password"}}
    row.user_name = bounded(kept.get("userName"), "userName")
    row.external_id = bounded(kept.get("externalId") or "", "externalId")
    row.active = kept.get("active") is not False
    row.resource = kept
    text = json.dumps(kept, ensure_ascii=False)
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES or "\\u0000" in json.dumps(kept):
        raise InvalidRequest(f"A user has at most {MOST_BYTES} bytes, and no NUL.")


def bounded(value: Any, name: str) -> str:
    """A text of at most 255 characters. Raises `InvalidRequest`."""
    text = str(value or "")
    if len(text) > 255 or "\0" in text:
        raise InvalidRequest(f"{name} has at most 255 characters, and no NUL.", param=name)
    return text


def _told(row: DirectoryUser, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    detail = {"user_name": row.user_name, "waits": row.waits} | dict(more or {})
    return {"target_type": "directory_user", "target_id": row.pk, "detail": detail}

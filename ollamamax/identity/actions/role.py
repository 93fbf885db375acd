"""Writes of a tenant's own roles."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.bounds import ROLES, require_room
from ollamamax.identity.models import ApiKey, Role
from ollamamax.identity.queries.role import holders_of, told, users_with
from ollamamax.identity.rights import require_in_tenant, require_to_grant
from ollamamax.identity.roles import SYSTEM_ROLES
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def create_role(*, acting: Principal, slug: str, name: str, permissions: Iterable[str]) -> Role:
    """A role of the tenant of ``acting``, who must have all of its permissions.

    Raises `Forbidden`, `InvalidRequest`, and `Conflict` for a slug that is taken, by the system's roles too.
    """
    tenant = require_in_tenant(acting, "member.manage")
    if not _SLUG.fullmatch(slug):
        raise InvalidRequest("A slug has 1 to 63 small letters, digits and inner hyphens.", param="slug")
    taken = f"There is a role with the slug '{slug}' already."
    if slug in SYSTEM_ROLES:
        raise Conflict(taken)
    granted = sorted(frozenset(permissions))
    require_to_grant(acting, granted)
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(ROLES, Role.objects.filter(tenant=tenant).exclude(slug=slug))
            role = Role.objects.create(tenant_id=tenant, slug=slug, name=_named(name), permissions=granted)
            record(
                acting=acting,
                action="role.create",
                target_type="role",
                target_id=role.id,
                tenant=tenant,
                detail={"slug": slug, "name": role.name, "permissions": granted},
            )
    except IntegrityError as error:
        raise Conflict(taken) from error
    return role


def change_role(
    *, acting: Principal, role_id: uuid.UUID, name: str | None = None, permissions: Iterable[str] | None = None
) -> Role:
    """Change what is given, for all who hold the role; their keys and live pages follow at once.

    ``acting`` must have what the role permits before and after. Raises `Forbidden`, `InvalidRequest`, `NotFound`.
    """
    tenant = require_in_tenant(acting, "member.manage")
    values: dict[str, Any] = {} if name is None else {"name": _named(name)}
    if permissions is not None:
        values["permissions"] = sorted(frozenset(permissions))
        require_to_grant(acting, values["permissions"])
    with tenant_scope(tenant), transaction.atomic(durable=True):
        role = _locked(tenant, role_id)
        require_to_grant(acting, role.permissions)
        changed = take_over(role, values)
        if not changed:
            return role
        role.save(update_fields=[*changed, "changed_at"])
        record(
            acting=acting,
            action="role.change",
            target_type="role",
            target_id=role.id,
            tenant=tenant,
            detail={"slug": role.slug} | changed.detail(),
        )
        holders = users_with(role)
        directory.publish_keys_on_commit(ApiKey.objects.filter(created_by__in=holders))
        sockets.recheck_on_commit(holders)
    return role


def delete_role(*, acting: Principal, role_id: uuid.UUID) -> None:
    """Raises `Forbidden`, `NotFound`, and `Conflict` while members or teams hold it, which says who."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        role = _locked(tenant, role_id)
        require_to_grant(acting, role.permissions)
        holders = holders_of(role)
        if holders:
            raise Conflict(f"In use by {told(holders)}: give them another role first.", holders=holders)
        target = role.id
        role.delete()
        record(
            acting=acting,
            action="role.delete",
            target_type="role",
            target_id=target,
            tenant=tenant,
            detail={"slug": role.slug},
        )


def _locked(tenant: uuid.UUID, role_id: uuid.UUID) -> Role:
    """A role that the tenant made. Raises `NotFound`, for those of the system too, which nobody changes."""
    role = Role.objects.select_for_update().filter(tenant=tenant, pk=role_id).first()
    if role is None:
        raise NotFound("There is no such role of this tenant.")
    return role


def _named(name: str) -> str:
    if not name.strip() or len(name) > 100:
        raise InvalidRequest("A role's name has 1 to 100 characters.", param="name")
    return name.strip()

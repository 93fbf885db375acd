"""Reads of memberships: which tenants a person may act in, and what they may do there."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models.functions import Concat

from ollamamax.identity.models import Grant, Membership, Tenant, User
from ollamamax.identity.roles import counted
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

_SEPARATOR = "@"


@dataclass(frozen=True)
class TenantRole:
    """A tenant, the role (its slug) that one user has in it, and what they may do there."""

    user: uuid.UUID
    id: uuid.UUID
    slug: str
    name: str
    role: str
    is_operator: bool
    is_owner: bool
    permissions: frozenset[str]
    grants: frozenset[tuple[str, str]]
    sso_enforced: bool


def active_members() -> models.QuerySet[Any]:
    """Memberships that give rights, of users who may log in, each with its grants as ``granted`` (see `pairs`)."""
    return Membership.objects.filter(state=Membership.State.ACTIVE, user__is_active=True).annotate(
        granted=ArraySubquery(
            Grant.objects.filter(membership=models.OuterRef("pk")).values(
                text=Concat("permission", models.Value(_SEPARATOR), "target")
            )
        )
    )


def pairs(granted: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Grants as a principal has them: permission and object."""
    return frozenset((permission, target) for permission, _, target in (each.partition(_SEPARATOR) for each in granted))


def tenants_of(user: User) -> list[TenantRole]:
    """The tenants the user is an active member of, the one joined first in front; none that is suspended. One query."""
    with every_tenant():
        memberships = active_members().filter(user=user, tenant__suspended_at=None).select_related("tenant", "role")
        found = list(memberships.order_by("created_at", "id"))
    return [
        TenantRole(
            m.user_id,
            m.tenant.id,
            m.tenant.slug,
            m.tenant.name,
            m.role.slug,
            m.tenant.is_operator,
            m.role.is_owners,
            counted(m.role.permissions, in_operator=m.tenant.is_operator),
            pairs(m.granted),
            m.tenant.sso_enforced,
        )
        for m in found
    ]


def find_user(email: str) -> User | None:
    """The user with this address, in whatever case."""
    return User.objects.filter(email__iexact=email.strip()).first()


def email_of(user: uuid.UUID | None) -> str:
    """Empty for nobody. Queries: 1."""
    found = None if user is None else User.objects.filter(pk=user).values_list("email", flat=True).first()
    return found or ""


def members() -> models.QuerySet[Membership]:
    """Members of the tenant in scope, in whatever state, with user and role."""
    return Membership.objects.select_related("user", "role")


def get_member(membership_id: uuid.UUID) -> Membership:
    """A member of the tenant in scope. Raises `NotFound`."""
    found = members().filter(pk=membership_id).first()
    if found is None:
        raise NotFound("There is no such member.")
    return found


def members_of_tenant() -> list[uuid.UUID]:
    """The users who are members of the tenant in scope."""
    return list(Membership.objects.values_list("user_id", flat=True))


def is_member(tenant: Tenant, user: User) -> bool:
    with every_tenant():
        return Membership.objects.filter(tenant=tenant, user=user).exists()


def principal_of(user: User, place: TenantRole, request: str = "") -> Principal:
    """The user acting in a tenant with the rights that they have there."""
    return Principal(
        "user", user.id.hex, place.id.hex, user.email, place.permissions, request, place.grants, place.is_owner
    )

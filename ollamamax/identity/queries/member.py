"""Reads of memberships: which tenants a person may act in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from ollamamax.identity.models import Membership, Tenant, User
from ollamamax.identity.roles import permissions_of
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.principal import Principal


@dataclass(frozen=True)
class TenantRole:
    """A tenant, and the role one user has in it."""

    id: uuid.UUID
    slug: str
    name: str
    role: str
    is_operator: bool

    @property
    def permissions(self) -> frozenset[str]:
        return permissions_of(self.role, in_operator=self.is_operator)


def tenants_of(user: User) -> list[TenantRole]:
    """The tenants the user is a member of, the one joined first in front; none that is suspended. One query."""
    with every_tenant():
        memberships = Membership.objects.filter(user=user, tenant__suspended_at=None).select_related("tenant")
        found = list(memberships.order_by("created_at", "id"))
    return [TenantRole(m.tenant.id, m.tenant.slug, m.tenant.name, m.role, m.tenant.is_operator) for m in found]


def find_user(email: str) -> User | None:
    """The user with this address, in whatever case."""
    return User.objects.filter(email__iexact=email.strip()).first()


def members_of_tenant() -> list[uuid.UUID]:
    """The users who are members of the tenant in scope."""
    return list(Membership.objects.values_list("user_id", flat=True))


def is_member(tenant: Tenant, user: User) -> bool:
    with every_tenant():
        return Membership.objects.filter(tenant=tenant, user=user).exists()


def principal_of(user: User, place: TenantRole, request: str = "") -> Principal:
    """The user acting in a tenant with the permissions of their role there."""
    return Principal("user", user.id.hex, place.id.hex, user.email, place.permissions, request)

"""Who decides about members of a tenant, and about which roles."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from ollamamax.identity.models import Membership, Role, Tenant
from ollamamax.identity.queries.member import held_by
from ollamamax.identity.rights import require, require_over_owners, require_to_grant, require_to_hold
from ollamamax.identity.roles import counted
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

Guard = Callable[[uuid.UUID, uuid.UUID], None]
guards: list[Guard] = []
"""Told, of a tenant and a user, that the membership was changed or ended, in its scope and transaction: each raises `Conflict` for what must not be."""


def require_over_members(acting: Principal, tenant: Tenant) -> None:
    if acting.tenant not in (None, tenant.id.hex):
        raise NotFound("There is no such tenant.")
    require(acting, "member.manage")


def require_to_decide(acting: Principal, tenant: Tenant, role: Role) -> None:
    """Whether ``acting`` may give and take this role. Raises `Forbidden`."""
    if role.is_owners:
        require_over_owners(acting)
    require_to_grant(acting, counted(role.permissions, in_operator=tenant.is_operator))


def require_over_member(acting: Principal, tenant: Tenant, membership: Membership) -> None:
    """Whether ``acting`` may change and end this membership: who may do all that it gives, by role, teams and grants, were it active.

    Of a suspended one too, since whoever lets it count again gives all of that. Raises `Forbidden`. Queries: 1, and more for grants on pools.
    """
    require_to_decide(acting, tenant, membership.role)
    if acting.kind != "system":
        require_to_hold(acting, held_by(membership))

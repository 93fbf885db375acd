"""Who decides about members of a tenant, and about which roles. Nothing here reads or writes."""

from __future__ import annotations

from ollamamax.identity.models import Role, Tenant
from ollamamax.identity.rights import require, require_over_owners, require_to_grant
from ollamamax.identity.roles import counted
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal


def require_over_members(acting: Principal, tenant: Tenant) -> None:
    if acting.tenant not in (None, tenant.id.hex):
        raise NotFound("There is no such tenant.")
    require(acting, "member.manage")


def require_to_decide(acting: Principal, tenant: Tenant, role: Role) -> None:
    """Whether ``acting`` may give and take this role. Raises `Forbidden`."""
    if role.is_owners:
        require_over_owners(acting)
    require_to_grant(acting, counted(role.permissions, in_operator=tenant.is_operator))

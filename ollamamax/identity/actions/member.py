"""Writes of memberships."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity.models import Membership, Role, Tenant, User
from ollamamax.identity.rights import require, require_to_grant
from ollamamax.identity.roles import permissions_of
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def add_member(*, acting: Principal, tenant: Tenant, user: User, role: str) -> Membership:
    """Give a user a role in a tenant: never one that may do more than ``acting`` may.

    Raises `Forbidden`, `InvalidRequest`, `NotFound` for another's tenant, or `Conflict` for a member.
    """
    if acting.tenant not in (None, tenant.id.hex):
        raise NotFound("There is no such tenant.")
    require(acting, "member.manage")
    if role not in Role.values:
        raise InvalidRequest(f"There is no role {role!r}.", param="role")
    require_to_grant(acting, permissions_of(role, in_operator=tenant.is_operator))
    try:
        with transaction.atomic(durable=True):
            membership = Membership.objects.create(tenant=tenant, user=user, role=role)
            record(
                acting=acting,
                action="member.add",
                target_type="user",
                target_id=user.id,
                tenant=tenant.id,
                detail={"email": user.email, "role": role},
            )
    except IntegrityError as error:
        raise Conflict(f"{user.email} is a member of this tenant already.") from error
    return membership

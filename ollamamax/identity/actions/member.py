"""Writes of memberships."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.bounds import MEMBERS, require_room
from ollamamax.identity.models import Membership, Role, Tenant, User
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.rights import require, require_to_grant
from ollamamax.identity.roles import permissions_of
from ollamamax.identity.scope import tenant_scope
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
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(MEMBERS, Membership.objects.exclude(user=user))
            membership = Membership.objects.create(tenant=tenant, user=user, role=role)
            record(
                acting=acting,
                action="member.add",
                target_type="user",
                target_id=user.id,
                tenant=tenant.id,
                detail={"email": user.email, "role": role},
            )
            directory.publish_keys_on_commit(keys_made_by(user.id).filter(tenant=tenant))
    except IntegrityError as error:
        raise Conflict(f"{user.email} is a member of this tenant already.") from error
    return membership


def remove_member(*, acting: Principal, tenant: Tenant, user: User) -> None:
    """End what a user may do in a tenant, and what runs there with the keys they made, which work again if they come back.

    Raises `Forbidden` for one who may do more than ``acting``, `NotFound` for another's tenant or no member, and
    `Conflict` for the last owner.
    """
    if acting.tenant not in (None, tenant.id.hex):
        raise NotFound("There is no such tenant.")
    require(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        members = {membership.user_id: membership for membership in Membership.objects.select_for_update()}
        membership = members.get(user.id)
        if membership is None:
            raise NotFound(f"{user.email} is no member of this tenant.")
        require_to_grant(acting, permissions_of(membership.role, in_operator=tenant.is_operator))
        owners = [member for member in members.values() if member.role == Role.OWNER]
        if owners == [membership]:
            raise Conflict(f"{user.email} is the last owner of this tenant.")
        membership.delete()
        record(
            acting=acting,
            action="member.remove",
            target_type="user",
            target_id=user.id,
            tenant=tenant.id,
            detail={"email": user.email, "role": membership.role},
        )
        directory.publish_keys_on_commit(keys_made_by(user.id).filter(tenant=tenant))
        sockets.recheck_on_commit([user.id])

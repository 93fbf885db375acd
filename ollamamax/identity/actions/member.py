"""Writes of memberships."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.bounds import MEMBERS, require_room
from ollamamax.identity.member_rights import guards, require_over_member, require_over_members, require_to_decide
from ollamamax.identity.models import Invitation, Membership, RemovedMember, Tenant, User
from ollamamax.identity.queries import role as roles
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

CHOSEN = (Membership.State.ACTIVE, Membership.State.SUSPENDED)
"""States that somebody can give a membership; an invited one becomes active by who was invited."""


def add_member(*, acting: Principal, tenant: Tenant, user: User, role: str) -> Membership:
    """Give a user a role (its slug) in a tenant: never one that may do more than ``acting`` may.

    Raises `Forbidden`, `InvalidRequest`, `NotFound` for another's tenant, or `Conflict` for a member.
    """
    require_over_members(acting, tenant)
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            given = roles.find_role(role)
            require_to_decide(acting, tenant, given)
            require_room(MEMBERS, Membership.objects.exclude(user=user))
            membership = Membership.objects.create(tenant=tenant, user=user, role=given)
            RemovedMember.objects.filter(user=user).delete()
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


def change_member(
    *, acting: Principal, tenant: Tenant, user_id: UUID, role: str | None = None, state: str | None = None
) -> Membership:
    """Give a member another role, or suspend the membership, or let it count again; what is ``None`` stays.

    What runs with the member's keys ends as far as they may not do it any more. The user stays as they are in other tenants.
    Raises `Forbidden` for one who may do more than ``acting``, `InvalidRequest`, `NotFound` for another's tenant or no
    member, and `Conflict` for the last owner, and for the last one who could log in were single sign-on broken.
    """
    require_over_members(acting, tenant)
    if state is not None and state not in CHOSEN:
        raise InvalidRequest("A membership is made active or suspended.", param="state")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        members = _locked()
        membership = _found(members, user_id)
        require_over_member(acting, tenant, membership)
        changed: dict[str, Any] = {}
        if role is not None and role != membership.role.slug:
            given = roles.find_role(role)
            require_to_decide(acting, tenant, given)
            membership.role = given
            changed["role"] = role
        if state is not None and (state != membership.state or membership.withheld):
            # What somebody decides by hand is no longer what single sign-on withheld, and would give back.
            membership.state, membership.withheld = state, False
            changed["state"] = state
        if not changed:
            return membership
        _require_an_owner(members)
        membership.save(update_fields=["role", "state", "withheld", "changed_at"])
        _tell_guards(tenant, user_id)
        record(
            acting=acting,
            action="member.change",
            target_type="user",
            target_id=user_id,
            tenant=tenant.id,
            detail={"email": membership.user.email} | changed,
        )
        directory.publish_keys_on_commit(keys_made_by(user_id).filter(tenant=tenant))
        sockets.recheck_on_commit([user_id])
    return membership


def remove_member(*, acting: Principal, tenant: Tenant, user: User) -> None:
    """End what a user may do in a tenant, and what runs there with the keys they made, which work again if they come back.

    It holds against single sign-on too: they are a member again when somebody adds or invites them, and not because they log in.
    Raises `Forbidden` for one who may do more than ``acting``, `NotFound` for another's tenant or no member, and
    `Conflict` as `change_member` does.
    """
    require_over_members(acting, tenant)
    with tenant_scope(tenant), transaction.atomic(durable=True):
        members = _locked()
        membership = _found(members, user.id)
        require_over_member(acting, tenant, membership)
        _require_an_owner({other: each for other, each in members.items() if other != user.id})
        membership.delete()
        _tell_guards(tenant, user.id)
        RemovedMember.objects.get_or_create(tenant=tenant, user=user)
        unended = Invitation.objects.filter(accepted_at=None, revoked_at=None, email__iexact=user.email)
        unended.update(revoked_at=timezone.now())
        record(
            acting=acting,
            action="member.remove",
            target_type="user",
            target_id=user.id,
            tenant=tenant.id,
            detail={"email": user.email, "role": membership.role.slug},
        )
        directory.publish_keys_on_commit(keys_made_by(user.id).filter(tenant=tenant))
        sockets.recheck_on_commit([user.id])


def _tell_guards(tenant: Tenant, user_id: UUID) -> None:
    for guard in guards:
        guard(tenant.id, user_id)


def _locked() -> dict[UUID, Membership]:
    """All members of the tenant in scope, by user: two changes at once must not leave it without an owner."""
    rows = Membership.objects.select_for_update(of=("self",)).select_related("role", "user")
    return {membership.user_id: membership for membership in rows}


def _found(members: Mapping[UUID, Membership], user_id: UUID) -> Membership:
    found = members.get(user_id)
    if found is None:
        raise NotFound("There is no such member of this tenant.")
    return found


def _require_an_owner(members: Mapping[UUID, Membership]) -> None:
    """Raises `Conflict` when nobody of those who remain is an owner whose membership counts."""
    if not any(each.role.is_owners and each.state == Membership.State.ACTIVE for each in members.values()):
        raise Conflict("This is the last owner of the tenant.")

"""Writes of what a tenant asks of its members: single sign-on, and the accounts whose password is taken all the same."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import sockets
from ollamamax.identity.models import Membership, Tenant
from ollamamax.identity.queries.member import get_member, members_of_tenant
from ollamamax.identity.rights import require_in_tenant, require_over_owners
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from ollamamax.sso.models import BreakGlassAccount, ExternalIdentity, IdentityProvider


def set_enforced(*, acting: Principal, enforced: bool) -> Tenant:
    """Whether members must come through an identity provider of the tenant. Sessions that did not act in it no more, within a second.

    Raises `Forbidden`, and `Conflict` as long as nobody has logged in by an enabled provider, or no break-glass account could.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        if tenant.sso_enforced == enforced:
            return tenant
        if enforced:
            _require_ways_in()
        tenant.sso_enforced = enforced
        tenant.save(update_fields=["sso_enforced"])
        record(
            acting=acting,
            action="sso.enforce" if enforced else "sso.relax",
            target_type="tenant",
            target_id=tenant_id,
            tenant=tenant_id,
            detail={"slug": tenant.slug},
        )
        sockets.recheck_on_commit(members_of_tenant())
    return tenant


def mark_account(*, acting: Principal, membership_id: uuid.UUID) -> BreakGlassAccount:
    """Take this member's password, whatever the tenant asks of others. By an owner, since it is how owners keep themselves from being locked out.

    Raises `Forbidden`, `NotFound`, `InvalidRequest` for a member without a password, and `Conflict` for one that is marked.
    """
    tenant_id = require_in_tenant(acting, "sso.manage")
    require_over_owners(acting)
    try:
        with tenant_scope(tenant_id), transaction.atomic(durable=True):
            member = get_member(membership_id)
            if not member.user.has_usable_password():
                raise InvalidRequest("This member has no password.", param="member")
            made = BreakGlassAccount.objects.create(tenant_id=tenant_id, user=member.user)
            record(
                acting=acting,
                action="sso.mark_break_glass",
                target_type="user",
                target_id=member.user_id,
                tenant=tenant_id,
                detail={"email": member.user.email},
            )
    except IntegrityError as error:
        raise Conflict("This member is a break-glass account already.") from error
    return made


def unmark_account(*, acting: Principal, account_id: uuid.UUID) -> None:
    """Raises `Forbidden`, `NotFound`, and `Conflict` for the last one of a tenant that asks for single sign-on."""
    tenant_id = require_in_tenant(acting, "sso.manage")
    require_over_owners(acting)
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
        found = BreakGlassAccount.objects.select_related("user").filter(pk=account_id).first()
        if found is None:
            raise NotFound("There is no such break-glass account.")
        user = found.user
        found.delete()
        if tenant.sso_enforced:
            _require_break_glass()
        record(
            acting=acting,
            action="sso.unmark_break_glass",
            target_type="user",
            target_id=user.pk,
            tenant=tenant_id,
            detail={"email": user.email},
        )
        sockets.recheck_on_commit([user.pk])


def keep_break_glass(tenant_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """A guard of memberships: whoever is no member is no break-glass account, and a tenant that asks for single sign-on keeps one that could log in.

    Raises `Conflict`. Queries: 1, and up to 5 for a break-glass account.
    """
    marked = BreakGlassAccount.objects.filter(user=user_id)
    if not marked.exists():
        return
    tenant = Tenant.objects.select_for_update().get(pk=tenant_id)
    if not Membership.objects.filter(user=user_id).exists():
        # If they come back some day, they log in as all others do.
        marked.delete()
    if tenant.sso_enforced:
        _require_break_glass()


def _require_ways_in() -> None:
    enabled = IdentityProvider.objects.filter(enabled=True)
    if not ExternalIdentity.objects.filter(provider__in=enabled).exists():
        raise Conflict("Nobody has logged in by an identity provider that is enabled yet: do that first.")
    _require_break_glass()


def _require_break_glass() -> None:
    owners = Membership.objects.filter(state=Membership.State.ACTIVE, role__tenant=None, role__slug="owner")
    accounts = BreakGlassAccount.objects.filter(user__in=owners.values("user"), user__is_active=True)
    if not any(each.user.has_usable_password() for each in accounts.select_related("user")):
        raise Conflict(
            "Mark an owner with a password as a break-glass account first: somebody must get in when single sign-on is broken."
        )

"""Reads of memberships: which tenants a person may act in, and what they may do there."""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import models
from django.db.models.functions import Concat, JSONObject
from django.utils import timezone

from ollamamax.identity import objects
from ollamamax.identity.models import (
    Invitation,
    MemberGrant,
    Membership,
    RemovedMember,
    TeamGrant,
    TeamMember,
    Tenant,
    User,
)
from ollamamax.identity.rights import Reason, Rights, granted, reasons, rights_by
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal


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
    factor_required_at: datetime.datetime | None = None
    takes_passkeys: bool = True
    deletes_at: datetime.datetime | None = None


def active_members() -> models.QuerySet[Any]:
    """Memberships that give rights, of users who may log in or programs, each with ``held``, of which `ollamamax.identity.rights.reasons` are made."""
    return with_rights(Membership.objects.filter(state=Membership.State.ACTIVE, user__is_active=True))


def with_rights(memberships: models.QuerySet[Membership]) -> models.QuerySet[Any]:
    """With ``held``, of which `ollamamax.identity.rights.reasons` are made."""
    mine = models.OuterRef("pk")
    return memberships.annotate(
        held=JSONObject(
            role=models.F("role__slug"),
            permissions=models.F("role__permissions"),
            teams=ArraySubquery(
                TeamMember.objects.filter(membership=mine, group__team__role__isnull=False).values(
                    each=JSONObject(
                        team="group__team__slug",
                        role="group__team__role__slug",
                        permissions="group__team__role__permissions",
                    )
                )
            ),
            in_teams=ArraySubquery(TeamMember.objects.filter(membership=mine).values("group__team__id")),
            granted=ArraySubquery(as_text(MemberGrant.objects.filter(membership=mine))),
            team_granted=ArraySubquery(
                as_text(
                    TeamGrant.objects.filter(group__members__membership=mine), models.Value("@"), "group__team__slug"
                )
            ),
        )
    )


def as_text(grants: models.QuerySet[Any], *more: models.Value | str) -> models.QuerySet[Any]:
    """One column, which `ollamamax.identity.rights.granted` reads."""
    return grants.values(
        text=Concat(
            "permission__codename", models.Value("@"), "content_type__model", models.Value(":"), "object_pk", *more
        )
    )


def what_is_within(held: Iterable[Mapping[str, Any] | None]) -> dict[str, frozenset[str]]:
    """What is in the pools that any of these were granted something on, in the scope that there is. Queries: none where there are none."""
    texts = (text for each in held if each is not None for text in (*each["granted"], *each["team_granted"]))
    return objects.within({granted(text).target for text in texts})


def tenants_of(user: User) -> list[TenantRole]:
    """The tenants the user is an active member of, the one joined first in front; none that is suspended. Queries: 1, and more for
    who was granted something on pools."""
    return _places(user=user, tenant__suspended_at=None)


def leaving_tenants_of(user: User) -> list[TenantRole]:
    """The tenants of which the user is an active member and whose deletion was asked for. Queries: 1, and more as `tenants_of`."""
    return _places(user=user, tenant__deletes_at__isnull=False)


def owns(user_id: uuid.UUID, tenant_id: uuid.UUID) -> bool:
    """Whether the user is an active owner of the tenant, be that suspended or not. One query."""
    with every_tenant():
        found = active_members().filter(user=user_id, tenant=tenant_id).select_related("role").first()
    return found is not None and bool(found.role.is_owners)


def _places(**only: Any) -> list[TenantRole]:
    with every_tenant():
        memberships = active_members().filter(**only).select_related("tenant", "role")
        found = list(memberships.order_by("created_at", "id"))
        within = what_is_within(m.held for m in found)
    rights = [rights_by(reasons(m.held, in_operator=m.tenant.is_operator, within=within)) for m in found]
    return [
        TenantRole(
            m.user_id,
            m.tenant.id,
            m.tenant.slug,
            m.tenant.name,
            m.role.slug,
            m.tenant.is_operator,
            m.role.is_owners,
            *rights_of,
            m.tenant.sso_enforced,
            m.tenant.factor_required_at,
            m.tenant.takes_passkeys,
            m.tenant.deletes_at,
        )
        for m, rights_of in zip(found, rights, strict=True)
    ]


def held_by(membership: Membership) -> Rights:
    """What a member of the tenant in scope has by role, teams and grants while the membership is active, which it need not be now."""
    return rights_by(reasons_of(membership))


def reasons_of(membership: Membership) -> list[Reason]:
    """Why a member of the tenant in scope has what `held_by` says."""
    found = with_rights(Membership.objects.filter(pk=membership.pk)).select_related("tenant").get()
    return reasons(found.held, in_operator=found.tenant.is_operator, within=what_is_within([found.held]))


def find_user(email: str) -> User | None:
    """The person with this address, in whatever case; never a program."""
    return User.objects.filter(email__iexact=email.strip(), is_program=False).first()


def name_of(user: User) -> str:
    """How a person or a program is told of: by address, or by the name that is in a program's."""
    return user.email.partition("@")[0] if user.is_program else user.email


def names_of_users(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Of those that are members of the tenant in scope. Queries: 1, or none for nobody."""
    found = holders().filter(user__in=ids) if ids else []
    return {each.user_id: name_of(each.user) for each in found}


def people_who_may(permission: str, most: int) -> list[User]:
    """Members of the tenant in scope who may log in and have the permission in all of it, those who joined first in front. Queries: 1."""
    found = (
        active_members().filter(user__is_program=False).select_related("user", "tenant").order_by("created_at", "id")
    )
    may = (
        each.user
        for each in found.iterator(chunk_size=200)
        if permission in rights_by(reasons(each.held, in_operator=each.tenant.is_operator, within={})).permissions
    )
    return list(itertools.islice(may, most))


def email_of(user: uuid.UUID | None) -> str:
    """Empty for nobody. Queries: 1."""
    found = None if user is None else User.objects.filter(pk=user).values_list("email", flat=True).first()
    return found or ""


def members() -> models.QuerySet[Membership]:
    """People who are members of the tenant in scope, in whatever state, with user and role."""
    return holders().filter(user__is_program=False)


def holders() -> models.QuerySet[Membership]:
    """People and programs that are members of the tenant in scope, in whatever state, with user and role."""
    return Membership.objects.select_related("user", "role")


def get_holder(membership_id: uuid.UUID) -> Membership:
    """A person or a program. Raises `NotFound`."""
    found = holders().filter(pk=membership_id).first()
    if found is None:
        raise NotFound("There is no such member.")
    return found


def get_member(membership_id: uuid.UUID) -> Membership:
    """A person who is a member of the tenant in scope. Raises `NotFound`."""
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


def is_kept_out(user: User) -> bool:
    """Whether somebody removed the user from the tenant in scope, and nobody has invited them since. Queries: 1 or 2."""
    if not RemovedMember.objects.filter(user=user).exists():
        return False
    invited = Invitation.objects.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())
    return not invited.filter(email__iexact=user.email).exists()


def principal_of(user: User, place: TenantRole, request: str = "") -> Principal:
    """The user acting in a tenant with the rights that they have there."""
    return Principal(
        "user", user.id.hex, place.id.hex, user.email, place.permissions, request, place.grants, place.is_owner
    )

"""Reads of roles and grants, of the tenant in scope."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TypeVar

from django.db import models

from ollamamax.identity.models import MemberGrant, Membership, Role, Team, TeamMember
from ollamamax.identity.rights import granted_on
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

_Row = TypeVar("_Row", bound=models.Model)


def roles() -> models.QuerySet[Role]:
    """The tenant's own, and those of every installation."""
    return Role.objects.all()


def get_role(role_id: uuid.UUID) -> Role:
    """Raises `NotFound`."""
    found = roles().filter(pk=role_id).first()
    if found is None:
        raise NotFound("There is no such role.")
    return found


def find_role(slug: str) -> Role:
    """Raises `InvalidRequest`. A slug of the system's is no tenant's."""
    found = roles().filter(slug=slug).first()
    if found is None:
        raise InvalidRequest(f"There is no role {slug!r}.", param="role")
    return found


MOST_TOLD = 10


def users_with(role: Role) -> list[uuid.UUID]:
    """Whose membership has the role, or one of whose teams."""
    in_teams = TeamMember.objects.filter(group__team__role=role).values_list("user_id", flat=True)
    return sorted({*Membership.objects.filter(role=role).values_list("user_id", flat=True), *in_teams})


def holders_of(role: Role) -> dict[str, list[str]]:
    """Who uses the role, by kind; of each kind so many as are told of and one more. Empty for nobody."""
    some = MOST_TOLD + 1
    memberships = Membership.objects.filter(role=role).order_by("user__email")
    people = memberships.filter(user__is_program=False).values_list("user__email", flat=True)
    programs = memberships.filter(user__is_program=True).values_list("service_account__name", flat=True)
    teams = Team.objects.filter(role=role).order_by("slug").values_list("slug", flat=True)
    found = {"members": people, "teams": teams, "service accounts": programs}
    return {kind: list(rows[:some]) for kind, rows in found.items() if rows[:some]}


def told(holders: Mapping[str, Sequence[str]]) -> str:
    """``members a@x, b@x; teams night``, each kind cut short where it is long."""
    return "; ".join(
        f"{kind} {', '.join(names[:MOST_TOLD])}{' and more' if len(names) > MOST_TOLD else ''}"
        for kind, names in holders.items()
    )


def grants() -> models.QuerySet[MemberGrant]:
    found: models.QuerySet[MemberGrant] = MemberGrant.objects.select_related("user", "permission", "content_type")
    return found


def get_grant(grant_id: uuid.UUID) -> MemberGrant:
    """Raises `NotFound`."""
    found = grants().filter(pk=grant_id).first()
    if found is None:
        raise NotFound("There is no such grant.")
    return found


def restrict(
    acting: Principal, permissions: Sequence[str], kind: str, rows: models.QuerySet[_Row], field: str = "pk"
) -> models.QuerySet[_Row]:
    """Those of ``rows`` on which ``acting`` has one of the permissions; ``field`` leads to the object of this kind."""
    if any(acting.may(permission) for permission in permissions):
        return rows
    return rows.filter(**{f"{field}__in": {id_ for name in permissions for id_ in granted_on(acting, name, kind)}})

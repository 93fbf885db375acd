"""Reads of teams and who is in them, of the tenant in scope."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db import models

from ollamamax.identity.models import Team, TeamGrant, TeamMember
from ollamamax.identity.queries.tenant import is_operator
from ollamamax.identity.rights import require_to_grant
from ollamamax.identity.roles import counted
from ollamamax.kernel.errors import InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def teams() -> models.QuerySet[Team]:
    """With their roles, and how many members each has as ``size``."""
    return Team.objects.select_related("role", "group").annotate(size=models.Count("group__members", distinct=True))


def get_team(team_id: uuid.UUID) -> Team:
    """Raises `NotFound`."""
    found = teams().filter(pk=team_id).first()
    if found is None:
        raise NotFound("There is no such team.")
    return found


def names_of_teams(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Of those that the tenant in scope has. Queries: 1, or none for no teams."""
    return dict(Team.objects.filter(pk__in=ids).values_list("pk", "name")) if ids else {}


def find_team(slug: str) -> Team:
    """Raises `InvalidRequest`."""
    found = teams().filter(slug=slug).first()
    if found is None:
        raise InvalidRequest(f"There is no team {slug!r}.", param="team")
    return found


def team_members(team: Team) -> models.QuerySet[TeamMember]:
    """With membership and user."""
    return TeamMember.objects.filter(group=team.group_id).select_related("membership", "user")


def users_of(team: Team) -> list[uuid.UUID]:
    return list(TeamMember.objects.filter(group=team.group_id).values_list("user_id", flat=True))


def teams_of_user(user_id: uuid.UUID) -> set[uuid.UUID]:
    """The teams that the user is in, by an active membership."""
    found = TeamMember.objects.filter(user=user_id, membership__state="active")
    return set(found.values_list("group__team", flat=True))


def require_over_team(acting: Principal, team: Team) -> None:
    """Whether ``acting`` may do all that the team may, and so decides who is in it. Raises `Forbidden`. Queries: 2."""
    if team.role is not None:
        require_to_grant(acting, counted(team.role.permissions, in_operator=is_operator(team.tenant_id)))
    for grant in team_grants().filter(group=team.group_id):
        require_to_grant(acting, [grant.permission.codename], grant.target)


def team_grants() -> models.QuerySet[TeamGrant]:
    found: models.QuerySet[TeamGrant] = TeamGrant.objects.select_related("group__team", "permission", "content_type")
    return found


def get_team_grant(grant_id: uuid.UUID) -> TeamGrant:
    """Raises `NotFound`."""
    found = team_grants().filter(pk=grant_id).first()
    if found is None:
        raise NotFound("There is no such grant.")
    return found

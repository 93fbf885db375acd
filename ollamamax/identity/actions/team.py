"""Writes of teams: who is in them, and the role they all have by it."""

from __future__ import annotations

import re
import uuid
from typing import Any, Literal

from django.contrib.auth.models import Group
from django.db import IntegrityError, models, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import directory, sockets
from ollamamax.identity.actions.limits import take_over
from ollamamax.identity.bounds import TEAMS, require_room
from ollamamax.identity.models import ApiKey, Membership, Role, ServiceAccount, Team, TeamGrant, TeamMember
from ollamamax.identity.queries import role as roles
from ollamamax.identity.queries.member import get_holder, name_of
from ollamamax.identity.queries.team import require_over_team, users_of
from ollamamax.identity.queries.tenant import is_operator
from ollamamax.identity.rights import require_in_tenant, require_to_grant
from ollamamax.identity.roles import counted
from ollamamax.identity.scope import current_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def create_team(*, acting: Principal, slug: str, name: str, role: str | None = None) -> Team:
    """An empty one. ``role`` is a slug; never one that may do more than ``acting`` may, and never that of the owners.

    Raises `Forbidden`, `InvalidRequest`, and `Conflict` for a slug that is taken.
    """
    tenant = require_in_tenant(acting, "member.manage")
    if not SLUG.fullmatch(slug):
        raise InvalidRequest("A slug has 1 to 63 small letters, digits and inner hyphens.", param="slug")
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            require_room(TEAMS, Team.objects.exclude(slug=slug))
            id_ = Team._meta.get_field("id").get_default()
            team = Team.objects.create(
                id=id_,
                tenant_id=tenant,
                slug=slug,
                name=_named(name),
                role=_given(acting, role),
                group=Group.objects.create(name=f"team:{id_.hex}"),
            )
            record(
                acting=acting,
                action="team.create",
                target_type="team",
                target_id=team.id,
                tenant=tenant,
                detail={"slug": slug, "name": team.name, "role": role},
            )
    except IntegrityError as error:
        raise Conflict(f"There is a team with the slug '{slug}' already.", param="slug") from error
    return team


def change_team(
    *, acting: Principal, team_id: uuid.UUID, name: str | None = None, role: str | Literal["stays"] | None = "stays"
) -> Team:
    """Give the team another name, or another role, or none (``None``). What its members may follows at once.

    ``acting`` must have what the team has before and after. Raises `Forbidden`, `InvalidRequest`, `NotFound`.
    """
    tenant = require_in_tenant(acting, "member.manage")
    values: dict[str, Any] = {} if name is None else {"name": _named(name)}
    with tenant_scope(tenant), transaction.atomic(durable=True):
        team = _locked(team_id)
        require_over_team(acting, team)
        if role != "stays":
            values["role"] = _given(acting, role)
        changed = take_over(team, values)
        if not changed:
            return team
        team.save(update_fields=[*changed, "changed_at"])
        told = changed | ({"role": None if team.role is None else team.role.slug} if "role" in changed else {})
        record(
            acting=acting,
            action="team.change",
            target_type="team",
            target_id=team.id,
            tenant=tenant,
            detail={"slug": team.slug} | told,
        )
        _tell(users_of(team))
    return team


def delete_team(*, acting: Principal, team_id: uuid.UUID) -> None:
    """And what was granted to it. Raises `Forbidden`, `NotFound`, and `Conflict` while it has service accounts."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        team = _locked(team_id)
        require_over_team(acting, team)
        owned = list(ServiceAccount.objects.filter(team=team).order_by("name").values_list("name", flat=True)[:10])
        if owned:
            raise Conflict(f"It owns service accounts: {', '.join(owned)}. Give them to another team first.")
        record(
            acting=acting,
            action="team.delete",
            target_type="team",
            target_id=team.id,
            tenant=tenant,
            detail={"slug": team.slug},
        )
        users = users_of(team)
        TeamGrant.objects.filter(group=team.group_id).delete()
        TeamMember.objects.filter(group=team.group_id).delete()
        group = team.group
        team.delete()
        group.delete()
        _tell(users)


def add_to_team(*, acting: Principal, team_id: uuid.UUID, membership_id: uuid.UUID) -> TeamMember:
    """A person or a program, which has what the team has from now on; ``acting`` must have all of that.

    Raises `Forbidden`, `NotFound`, and `Conflict` for who is in it.
    """
    tenant = require_in_tenant(acting, "member.manage")
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            team = _locked(team_id)
            require_over_team(acting, team)
            member = get_holder(membership_id)
            joined = TeamMember.objects.create(
                tenant_id=tenant, membership=member, user=member.user, group_id=team.group_id
            )
            record(acting=acting, action="team.add_member", tenant=tenant, **_told(team, member))
            _tell([member.user_id])
    except IntegrityError as error:
        raise Conflict("This member is in the team already.") from error
    return joined


def remove_from_team(*, acting: Principal, team_id: uuid.UUID, membership_id: uuid.UUID) -> None:
    """What runs by the team's rights alone ends. Raises `Forbidden`, and `NotFound` for who is not in it."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        team = _locked(team_id)
        require_over_team(acting, team)
        member = get_holder(membership_id)
        gone, _ = TeamMember.objects.filter(group=team.group_id, membership=member).delete()
        if not gone:
            raise NotFound("This member is not in the team.")
        record(acting=acting, action="team.remove_member", tenant=tenant, **_told(team, member))
        _tell([member.user_id])


def _given(acting: Principal, slug: str | None) -> Role | None:
    """The role of this slug, which ``acting`` may give to a team."""
    if slug is None:
        return None
    role = roles.find_role(slug)
    if role.is_owners:
        raise InvalidRequest("Owners are single people: a team is no owner.", param="role")
    require_to_grant(acting, counted(role.permissions, in_operator=is_operator(current_tenant())))
    return role


def _locked(team_id: uuid.UUID) -> Team:
    found = Team.objects.select_for_update(of=("self",)).select_related("role", "group").filter(pk=team_id).first()
    if found is None:
        raise NotFound("There is no such team.")
    return found


def _told(team: Team, member: Membership) -> dict[str, Any]:
    """What the audit trail says of a member of a team."""
    detail = {"team": team.slug, "email": name_of(member.user)}
    return {"target_type": "user", "target_id": member.user_id, "detail": detail}


def _tell(users: list[uuid.UUID]) -> None:
    keys: models.QuerySet[ApiKey] = ApiKey.objects.filter(created_by__in=users)
    directory.publish_keys_on_commit(keys)
    sockets.recheck_on_commit(users)


def _named(name: str) -> str:
    if not name.strip() or len(name) > 100:
        raise InvalidRequest("A team's name has 1 to 100 characters.", param="name")
    return name.strip()

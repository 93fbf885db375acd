"""Writes of grants: what a member or a team may do on a single object."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, models, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import directory, objects, sockets
from ollamamax.identity.bounds import GRANTS, require_room
from ollamamax.identity.models import ApiKey, MemberGrant, TeamGrant, TeamMember
from ollamamax.identity.queries.member import get_holder, name_of
from ollamamax.identity.queries.team import get_team, users_of
from ollamamax.identity.rights import require_in_tenant, require_to_grant
from ollamamax.identity.roles import ON_OBJECTS, reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def give_grant(
    *, acting: Principal, membership_id: uuid.UUID, permission: str, kind: str, object_id: uuid.UUID
) -> MemberGrant:
    """A permission on one object, that ``acting`` has there, for a person or a program. Their keys have it too, where they were given it.

    Raises `Forbidden`, `InvalidRequest` for a permission that is on no object of this kind, `NotFound`, and `Conflict` for
    what is granted already.
    """
    tenant = _require_to_give(acting, permission, kind, object_id)
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            member = get_holder(membership_id)
            target = _room_for(kind, object_id)
            if MemberGrant.objects.filter(user=member.user, permission=_row(permission, target), object_pk=target.pk):
                raise Conflict("This member has the permission on the object already.")
            grant: MemberGrant = MemberGrant.objects.assign_perm(permission, member.user, target)
            record(acting=acting, action="grant.give", tenant=tenant, **_told(grant, email=name_of(member.user)))
            _tell([member.user_id])
    except IntegrityError as error:
        raise Conflict("This member has the permission on the object already.") from error
    return grant


def give_team_grant(
    *, acting: Principal, team_id: uuid.UUID, permission: str, kind: str, object_id: uuid.UUID
) -> TeamGrant:
    """As `give_grant`, for all who are in the team, and as long as they are."""
    tenant = _require_to_give(acting, permission, kind, object_id)
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            team = get_team(team_id)
            target = _room_for(kind, object_id)
            if TeamGrant.objects.filter(group=team.group, permission=_row(permission, target), object_pk=target.pk):
                raise Conflict("This team has the permission on the object already.")
            grant: TeamGrant = TeamGrant.objects.assign_perm(permission, team.group, target)
            record(acting=acting, action="grant.give", tenant=tenant, **_told(grant, team=team.slug))
            _tell(users_of(team))
    except IntegrityError as error:
        raise Conflict("This team has the permission on the object already.") from error
    return grant


def end_grant(*, acting: Principal, grant_id: uuid.UUID) -> None:
    """What runs by it ends. ``acting`` must have what was granted. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        rows = MemberGrant.objects.select_for_update(of=("self",))
        grant = rows.select_related("user", "permission", "content_type").filter(pk=grant_id).first()
        if grant is None:
            raise NotFound("There is no such grant.")
        require_to_grant(acting, [grant.permission.codename], grant.target)
        record(acting=acting, action="grant.end", tenant=tenant, **_told(grant, email=name_of(grant.user)))
        grant.delete()
        _tell([grant.user_id])


def end_team_grant(*, acting: Principal, grant_id: uuid.UUID) -> None:
    """As `end_grant`, for all who are in the team."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        rows = TeamGrant.objects.select_for_update(of=("self",))
        grant = rows.select_related("group__team", "permission", "content_type").filter(pk=grant_id).first()
        if grant is None:
            raise NotFound("There is no such grant.")
        require_to_grant(acting, [grant.permission.codename], grant.target)
        record(acting=acting, action="grant.end", tenant=tenant, **_told(grant, team=grant.group.team.slug))
        grant.delete()
        _tell(users_of(grant.group.team))


def forget_object(kind: str, object_id: uuid.UUID) -> None:
    """The object is gone, and what was granted on it: in the transaction and scope that removes it."""
    holders = _holders(kind, [object_id])
    if holders:
        for grants in (MemberGrant.objects, TeamGrant.objects):
            _on(grants.all(), kind, [object_id]).delete()
        directory.publish_keys_on_commit(ApiKey.objects.filter(created_by__in=holders))


def tell_holders(kind: str, object_ids: Iterable[uuid.UUID]) -> None:
    """What is in these objects has changed, and with it what those may who were granted something on them: in the transaction that does it."""
    holders = _holders(kind, list(object_ids))
    if holders:
        _tell(holders)


def _holders(kind: str, object_ids: list[uuid.UUID]) -> set[uuid.UUID]:
    members = _on(MemberGrant.objects.all(), kind, object_ids).values_list("user", flat=True)
    groups = _on(TeamGrant.objects.all(), kind, object_ids).values_list("group", flat=True)
    return {*members, *TeamMember.objects.filter(group__in=list(groups)).values_list("user", flat=True)}


def _on(grants: models.QuerySet[Any], kind: str, object_ids: list[uuid.UUID]) -> models.QuerySet[Any]:
    return grants.filter(content_type__model=kind, object_pk__in=[str(each) for each in object_ids])


def _require_to_give(acting: Principal, permission: str, kind: str, object_id: uuid.UUID) -> uuid.UUID:
    tenant = require_in_tenant(acting, "member.manage")
    if permission not in ON_OBJECTS.get(kind, frozenset()):
        raise InvalidRequest(f"The permission {permission!r} cannot be granted on a {kind}.", param="permission")
    require_to_grant(acting, [permission], reference(kind, object_id))
    return tenant


def _room_for(kind: str, object_id: uuid.UUID) -> models.Model:
    """The object, in the tenant in scope, that may give one grant more."""
    target = objects.require_there(kind, object_id)
    require_room(GRANTS, MemberGrant.objects.all(), besides=TeamGrant.objects.count())
    return target


def _row(permission: str, target: models.Model) -> Permission:
    found: Permission = Permission.objects.get(
        codename=permission, content_type=ContentType.objects.get_for_model(target)
    )
    return found


def _told(grant: MemberGrant | TeamGrant, **to: str) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {
        "target_type": grant.content_type.model,
        "target_id": uuid.UUID(str(grant.object_pk)),
        "detail": {**to, "permission": grant.permission.codename},
    }


def _tell(users: Iterable[uuid.UUID]) -> None:
    some = list(users)
    directory.publish_keys_on_commit(ApiKey.objects.filter(created_by__in=some))
    sockets.recheck_on_commit(some)

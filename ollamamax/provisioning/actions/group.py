"""Writes of a directory's groups. Who gets into one, or out of it, has the role that the provider's rules give then, at once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from django.db import transaction

from ollamamax.audit.actions import record
from ollamamax.identity.bounds import DIRECTORY_GROUPS, require_room
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest, NotFound, PreconditionFailed
from ollamamax.kernel.principal import Principal
from ollamamax.provisioning.actions.settling import settle
from ollamamax.provisioning.actions.user import bounded
from ollamamax.provisioning.models import DirectoryGroup, DirectoryUser, GroupMember
from ollamamax.sso.models import IdentityProvider


def create_directory_group(
    *,
    acting: Principal,
    provider: IdentityProvider,
    display_name: str,
    external_id: str,
    members: Mapping[uuid.UUID, str],
) -> DirectoryGroup:
    """``members`` are ids of the directory's users, with what it calls each of them there. Raises `InvalidRequest`, and `Conflict` for one too many."""
    group = DirectoryGroup(
        tenant_id=provider.tenant_id,
        provider=provider,
        display_name=bounded(display_name, "displayName"),
        external_id=bounded(external_id, "externalId"),
    )
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        require_room(DIRECTORY_GROUPS, DirectoryGroup.objects.all())
        group.save(force_insert=True)
        _set_members(acting, provider, group, members)
        record(
            acting=acting,
            action="scim.create_group",
            target_type="directory_group",
            target_id=group.pk,
            tenant=provider.tenant_id,
            detail={"name": group.display_name, "members": len(members)},
        )
    return group


def change_directory_group(
    *,
    acting: Principal,
    provider: IdentityProvider,
    group_id: uuid.UUID,
    display_name: str,
    external_id: str,
    members: Mapping[uuid.UUID, str],
    expected: int | None = None,
) -> DirectoryGroup:
    """Raises `InvalidRequest`, `NotFound`, and `PreconditionFailed` where the version is not ``expected``."""
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        group = _locked(provider, group_id, expected)
        renamed = group.display_name != display_name
        group.display_name = bounded(display_name, "displayName")
        group.external_id = bounded(external_id, "externalId")
        group.version += 1
        group.save()
        added, gone = _set_members(acting, provider, group, members, renamed=renamed)
        record(
            acting=acting,
            action="scim.change_group",
            target_type="directory_group",
            target_id=group.pk,
            tenant=provider.tenant_id,
            detail={"name": group.display_name, "added": added, "removed": gone},
        )
    return group


def remove_directory_group(
    *, acting: Principal, provider: IdentityProvider, group_id: uuid.UUID, expected: int | None = None
) -> None:
    """Raises `NotFound` and `PreconditionFailed`."""
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        group = _locked(provider, group_id, expected)
        name, target = group.display_name, group.pk
        _set_members(acting, provider, group, {})
        group.delete()
        record(
            acting=acting,
            action="scim.remove_group",
            target_type="directory_group",
            target_id=target,
            tenant=provider.tenant_id,
            detail={"name": name},
        )


def _locked(provider: IdentityProvider, group_id: uuid.UUID, expected: int | None) -> DirectoryGroup:
    group = DirectoryGroup.objects.select_for_update().filter(provider=provider, pk=group_id).first()
    if group is None:
        raise NotFound("There is no such group.")
    if expected is not None and group.version != expected:
        raise PreconditionFailed("The group was changed since.")
    return group


def _set_members(
    by: Principal,
    provider: IdentityProvider,
    group: DirectoryGroup,
    members: Mapping[uuid.UUID, str],
    *,
    renamed: bool = False,
) -> tuple[int, int]:
    """How many came and went; what follows for each of them follows here."""
    called = dict(GroupMember.objects.filter(group=group).values_list("user_id", "display"))
    before = set(called)
    wanted = set(members)
    known = DirectoryUser.objects.filter(provider=provider, removed_at=None, pk__in=wanted - before)
    unknown = wanted - before - set(known.values_list("pk", flat=True))
    if unknown:
        raise InvalidRequest(f"There is no user {min(unknown).hex!r}.", param="members")
    GroupMember.objects.filter(group=group, user__in=before - wanted).delete()
    GroupMember.objects.bulk_create(
        GroupMember(tenant_id=group.tenant_id, group=group, user_id=each, display=members[each])
        for each in sorted(wanted - before)
    )
    for each in before & wanted:
        if members[each] and members[each] != called[each]:
            GroupMember.objects.filter(group=group, user=each).update(display=members[each])
    changed = before | wanted if renamed else before ^ wanted
    rows = DirectoryUser.objects.select_for_update(of=("self",)).select_related("membership__role", "membership__user")
    for row in rows.filter(pk__in=changed).order_by("pk"):
        settle(row, provider, by=by)
    return len(wanted - before), len(before - wanted)

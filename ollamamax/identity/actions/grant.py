"""Writes of grants: what a member may do on a single object."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction

from ollamamax.audit.actions import record
from ollamamax.identity import directory, objects, sockets
from ollamamax.identity.bounds import GRANTS, require_room
from ollamamax.identity.models import ApiKey, Grant
from ollamamax.identity.queries.key import keys_made_by
from ollamamax.identity.queries.member import get_member
from ollamamax.identity.rights import require_in_tenant, require_to_grant
from ollamamax.identity.roles import ON_OBJECTS, reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Conflict, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal


def give_grant(
    *, acting: Principal, membership_id: uuid.UUID, permission: str, kind: str, object_id: uuid.UUID
) -> Grant:
    """A permission on one object, that ``acting`` has there. The member's keys have it too, where they were given it.

    Raises `Forbidden`, `InvalidRequest` for a permission that is on no object of this kind, `NotFound`, and `Conflict` for
    what is granted already.
    """
    tenant = require_in_tenant(acting, "member.manage")
    if permission not in ON_OBJECTS.get(kind, frozenset()):
        raise InvalidRequest(f"The permission {permission!r} cannot be granted on a {kind}.", param="permission")
    target = reference(kind, object_id)
    require_to_grant(acting, [permission], target)
    try:
        with tenant_scope(tenant), transaction.atomic(durable=True):
            member = get_member(membership_id)
            objects.require_there(kind, object_id)
            require_room(GRANTS, Grant.objects.all())
            grant = Grant.objects.create(tenant_id=tenant, membership=member, permission=permission, target=target)
            record(
                acting=acting,
                action="grant.give",
                target_type=kind,
                target_id=object_id,
                tenant=tenant,
                detail={"email": member.user.email, "permission": permission},
            )
            _tell(member.user_id)
    except IntegrityError as error:
        raise Conflict("This member has the permission on the object already.") from error
    return grant


def end_grant(*, acting: Principal, grant_id: uuid.UUID) -> None:
    """What runs by it ends. ``acting`` must have what was granted. Raises `Forbidden` and `NotFound`."""
    tenant = require_in_tenant(acting, "member.manage")
    with tenant_scope(tenant), transaction.atomic(durable=True):
        grant = (
            Grant.objects.select_for_update(of=("self",)).select_related("membership__user").filter(pk=grant_id).first()
        )
        if grant is None:
            raise NotFound("There is no such grant.")
        require_to_grant(acting, [grant.permission], grant.target)
        kind, _, object_id = grant.target.partition(":")
        grant.delete()
        record(
            acting=acting,
            action="grant.end",
            target_type=kind,
            target_id=object_id,
            tenant=tenant,
            detail={"email": grant.membership.user.email, "permission": grant.permission},
        )
        _tell(grant.membership.user_id)


def forget_object(kind: str, object_id: uuid.UUID) -> None:
    """The object is gone, and what was granted on it: in the transaction and scope that removes it. Queries: 2 or 3."""
    found = Grant.objects.filter(target=reference(kind, object_id))
    holders = list(found.values_list("membership__user", flat=True))
    if holders:
        found.delete()
        directory.publish_keys_on_commit(ApiKey.objects.filter(created_by__in=holders))


def _tell(user_id: uuid.UUID) -> None:
    directory.publish_keys_on_commit(keys_made_by(user_id))
    sockets.recheck_on_commit([user_id])

"""Reads of invitations."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet
from django.utils import timezone

from ollamamax.identity.models import Invitation
from ollamamax.identity.scope import every_tenant
from ollamamax.identity.tokens import hash_of
from ollamamax.kernel.errors import NotFound

GONE = "This invitation was accepted, was revoked, or has expired. Ask for another one."


def invitations() -> QuerySet[Invitation]:
    """Of the tenant in scope, in whatever state, with their roles."""
    return Invitation.objects.select_related("role")


def get_invitation(invitation_id: uuid.UUID) -> Invitation:
    """Raises `NotFound`."""
    found = invitations().filter(pk=invitation_id).first()
    if found is None:
        raise NotFound("There is no such invitation.")
    return found


def find_open(token: str) -> Invitation:
    """The invitation whose link holds this, with tenant and role. Raises `NotFound` for one that does not work, whatever the reason."""
    with every_tenant():
        rows = Invitation.objects.select_related("tenant", "role")
        found = rows.filter(token_hash=hash_of(token)).first()
    if found is None or not is_open(found) or found.tenant.suspended_at is not None:
        raise NotFound(GONE)
    return found


def is_open(invitation: Invitation) -> bool:
    return invitation.accepted_at is None and invitation.revoked_at is None and invitation.expires_at > timezone.now()

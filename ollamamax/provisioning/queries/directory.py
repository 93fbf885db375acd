"""Reads of what a directory told: its users, its groups, and its tokens. In the tenant's scope, but for the token that says whose it is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import models
from django.utils import timezone

from ollamamax.identity.keys import matches, parse_key
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import NotFound
from ollamamax.provisioning.models import DirectoryGroup, DirectoryUser, GroupMember, ScimToken
from ollamamax.sso.models import IdentityProvider


def find_token(text: str) -> ScimToken | None:
    """With its tenant; ``None`` for each that is not good, of a tenant that is suspended, and of a provider that is off. Queries: 1."""
    parsed = parse_key(text, "scim")
    if parsed is None:
        return None
    with every_tenant():
        usable = ScimToken.objects.filter(revoked_at=None, tenant__suspended_at=None, provider__enabled=True)
        usable = usable.filter(models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()))
        found = usable.select_related("tenant").filter(identifier=parsed[0]).first()
    return found if found is not None and matches(parsed[1], found.secret_hash) else None


def tokens(provider_id: uuid.UUID) -> models.QuerySet[ScimToken]:
    """Those that are not revoked, the newest first."""
    return ScimToken.objects.filter(provider=provider_id, revoked_at=None).order_by("-id")


def get_token(provider_id: uuid.UUID, token_id: uuid.UUID) -> ScimToken:
    """Raises `NotFound`."""
    found = tokens(provider_id).filter(pk=token_id).first()
    if found is None:
        raise NotFound("There is no such token.")
    return found


def users(provider_id: uuid.UUID) -> models.QuerySet[DirectoryUser]:
    """With their groups. Those that the directory removed are none of them."""
    found = DirectoryUser.objects.filter(provider=provider_id, removed_at=None)
    return found.prefetch_related("in_groups__group").order_by("id")


def groups(provider_id: uuid.UUID) -> models.QuerySet[DirectoryGroup]:
    """With their members."""
    return DirectoryGroup.objects.filter(provider=provider_id).prefetch_related("members__user").order_by("id")


def groups_of(user: DirectoryUser) -> list[str]:
    """The names."""
    return list(GroupMember.objects.filter(user=user).values_list("group__display_name", flat=True))


def tells_of_groups(provider: IdentityProvider) -> bool:
    return DirectoryGroup.objects.filter(provider=provider).exists()


def is_in_charge(provider: IdentityProvider) -> bool:
    """Whether the provider has a directory, which decides whom there is: as long as one of its tokens is not revoked."""
    return ScimToken.objects.filter(provider=provider, revoked_at=None).exists()


@dataclass(frozen=True)
class DirectoryStatus:
    """``without_account`` are active users that have no membership, by why."""

    users: int
    active: int
    members: int
    groups: int
    without_account: dict[str, int]


def status_of(provider_id: uuid.UUID) -> DirectoryStatus:
    """Queries: 3."""
    rows = DirectoryUser.objects.filter(provider=provider_id, removed_at=None)
    counted = rows.aggregate(
        users=models.Count("pk"),
        active=models.Count("pk", filter=models.Q(active=True)),
        members=models.Count("membership"),
    )
    waiting = rows.exclude(waits="").values_list("waits").annotate(models.Count("pk")).order_by("waits")
    return DirectoryStatus(
        **counted,
        groups=DirectoryGroup.objects.filter(provider=provider_id).count(),
        without_account=dict(waiting),
    )


def get_user(provider_id: uuid.UUID, user_id: uuid.UUID) -> DirectoryUser:
    """Raises `NotFound`."""
    found = users(provider_id).filter(pk=user_id).first()
    if found is None:
        raise NotFound("There is no such user.")
    return found


def get_group(provider_id: uuid.UUID, group_id: uuid.UUID) -> DirectoryGroup:
    """Raises `NotFound`."""
    found = groups(provider_id).filter(pk=group_id).first()
    if found is None:
        raise NotFound("There is no such group.")
    return found

"""Who can do something and why, and what somebody can do: told by the reasons that decide, of the tenant in scope."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ollamamax.identity import objects
from ollamamax.identity.models import ApiKey, Membership
from ollamamax.identity.queries.key import get_key, listed, reasons_of_key, usable_keys, within_keys
from ollamamax.identity.queries.member import active_members, name_of, reasons_of, what_is_within
from ollamamax.identity.rights import Reason, reasons, why
from ollamamax.identity.roles import PERMISSIONS
from ollamamax.kernel.errors import InvalidRequest

MOST_HOLDERS = 500
"""So many are told of; more are counted."""


@dataclass(frozen=True)
class Holder:
    """Somebody who has a permission. ``id`` is that of a membership, or of a key."""

    kind: Literal["person", "program", "key"]
    id: uuid.UUID
    name: str
    reasons: list[Reason]


@dataclass(frozen=True)
class Holders:
    shown: list[Holder]
    left_out: int


def who_may(permission: str, on: str | None = None) -> Holders:
    """Members and keys that `Principal.may` says yes of, with the reasons. Raises `InvalidRequest` for what is no permission.

    Queries: 2, and more where something was granted on pools.
    """
    if permission not in PERMISSIONS:
        raise InvalidRequest(f"There is no permission {permission!r}.", param="permission")
    found = [holder for holder in (*_members(), *_keys()) if why(holder.reasons, permission, on)]
    shown = [Holder(each.kind, each.id, each.name, why(each.reasons, permission, on)) for each in found[:MOST_HOLDERS]]
    return Holders(shown, len(found) - len(shown))


def _members() -> list[Holder]:
    rows = list(active_members().select_related("user", "tenant").order_by("user__is_program", "user__email"))
    within = what_is_within(row.held for row in rows)
    return [
        Holder(
            "program" if row.user.is_program else "person",
            row.pk,
            name_of(row.user),
            reasons(row.held, in_operator=row.tenant.is_operator, within=within),
        )
        for row in rows
    ]


def _keys() -> list[Holder]:
    rows = list(listed(usable_keys()).order_by("name"))
    within = within_keys(rows)
    return [Holder("key", row.pk, row.name, reasons_of_key(row, within)) for row in rows]


@dataclass(frozen=True)
class RightsNow:
    """``counts``: whether it counts now; a suspended member, and a key that works no more, have none of it."""

    counts: bool
    reasons: list[Reason]


def rights_of_member(membership: Membership) -> RightsNow:
    """What a person or a program of the tenant has by role, teams and grants."""
    counts = active_members().filter(pk=membership.pk).exists()
    return RightsNow(counts, reasons_of(membership))


def rights_of_the_key(key_id: uuid.UUID) -> RightsNow:
    """What a key of the tenant has. Raises `NotFound`."""
    key: ApiKey = get_key(key_id)
    row = usable_keys().filter(pk=key.pk).first()
    return RightsNow(False, []) if row is None else RightsNow(True, reasons_of_key(row, within_keys([row])))


def names_in(found: Iterable[Reason]) -> dict[str, str]:
    """The names of the objects and pools that these reasons are about."""
    return objects.names(each for reason in found for each in (reason.on, reason.pool) if each)

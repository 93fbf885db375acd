"""Who would get another role by other rules: of everybody that a provider has vouched for, by the claims of their last log-in."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ollamamax.identity.models import Membership
from ollamamax.sso.claims import Rule, decide
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.queries.provider import identities

MOST_SHOWN = 500


@dataclass(frozen=True)
class RoleChange:
    """``role_then`` is empty for whoever would be refused, ``rule`` the place of the rule that says so. ``kept_here``: rules do not
    count, since the membership is not kept by single sign-on."""

    user: uuid.UUID
    email: str
    subject: str
    role_now: str
    role_then: str
    rule: int | None
    kept_here: bool


@dataclass(frozen=True)
class DryRun:
    """``known`` have logged in before, ``changed`` of them would get another role; ``changes`` are the first of these."""

    known: int
    changed: int
    changes: list[RoleChange]


def dry_run(provider: IdentityProvider, rules: Sequence[Rule], default: str) -> DryRun:
    """In the tenant's scope. Queries: 2."""
    members = {each.user_id: each for each in Membership.objects.select_related("role")}
    known, changes = 0, []
    for identity in identities(provider).order_by("user__email", "id").iterator():
        known += 1
        member = members.get(identity.user_id)
        now = member.role.slug if member is not None and not member.withheld else ""
        then = decide(rules, default, identity.claims)
        if then.role != now:
            kept_here = member is not None and member.source == Membership.Source.LOCAL
            email = identity.user.email
            changes.append(RoleChange(identity.user_id, email, identity.subject, now, then.role, then.rule, kept_here))
    changed = [each for each in changes if not each.kept_here]
    return DryRun(known, len(changed), (changed + [each for each in changes if each.kept_here])[:MOST_SHOWN])

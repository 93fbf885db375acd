"""Whether a person may use an application now: asked when they come, and again at each token and each question who they are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

from django.contrib.sessions.models import Session

from ollamamax.identity.models import Membership, Team, User
from ollamamax.identity.queries.member import TenantRole, tenants_of
from ollamamax.identity.queries.session import sessions_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import LogIn, is_kept_out, log_in_of, refusal
from ollamamax.oauth.models import Application, ApplicationUsers


class Against(StrEnum):
    """``POLICY``: the tenant asks for another way to log in. ``FACTOR``: all that it asks for is a second factor, which they can set up."""

    NO_MEMBER = "no_member"
    NOT_ALLOWED = "not_allowed"
    POLICY = "policy"
    FACTOR = "factor"


@dataclass(frozen=True)
class Standing:
    """Somebody who may use an application: ``teams`` are slugs, and ``place`` their tenant with their role."""

    user: User
    place: TenantRole
    teams: tuple[str, ...]


def standing_of(application: Application, user: User, log_in: LogIn | None) -> Standing | Against:
    """Of a user in a session that began with ``log_in``. Queries: 3 to 5."""
    place = next((each for each in tenants_of(user) if each.id == application.tenant_id), None)
    if place is None or not user.is_active:
        return Against.NO_MEMBER
    if refusal(log_in, place) is not None:
        return Against.FACTOR if is_kept_out(log_in, place) else Against.POLICY
    with tenant_scope(place.id):
        role = Membership.objects.filter(user=user).values_list("role_id", flat=True).first()
        found = Team.objects.filter(group__members__user=user).order_by("slug")
        teams = dict(found.values_list("id", "slug"))
        if not application.for_everybody:
            users = ApplicationUsers.objects.filter(application=application)
            if not any(each.role_id == role or each.team_id in teams for each in users):
                return Against.NOT_ALLOWED
    return Standing(user, place, tuple(teams.values()))


def standing_in_session(application: Application, user_id: uuid.UUID, session_id: uuid.UUID) -> Standing | None:
    """As `standing_of`, while the session lasts in which they came. ``None`` where anything is against it. Queries: 3 to 7."""
    known = sessions_of(user_id).filter(pk=session_id).select_related("user").first()
    if known is None:
        return None
    kept = Session.objects.filter(session_key=known.session_key).first()
    if kept is None:
        return None
    found = standing_of(application, known.user, log_in_of(kept.get_decoded()))
    return found if isinstance(found, Standing) else None

"""Who may act in a tenant: whoever its own identity provider vouched for, and, unless it asks for single sign-on, whoever has a password."""

from __future__ import annotations

from ollamamax.identity.queries.member import TenantRole
from ollamamax.identity.sessions import LogIn
from ollamamax.sso.queries.provider import is_break_glass, is_enabled

VOUCHED = frozenset({"oidc", "saml", "ldap"})


def asks_for_single_sign_on(log_in: LogIn | None, place: TenantRole) -> str | None:
    """A policy of sessions. A provider vouches in its own tenant alone: whoever runs it could be anybody there, and must be nobody elsewhere.

    Queries: 1 for who came through a provider, and for a password where the tenant asks for single sign-on, else none.
    """
    if log_in is not None and log_in.method in VOUCHED:
        good = is_enabled(place.id, log_in.provider)
        return None if good else f"{place.name} does not know who you are by this way to log in."
    if not place.sso_enforced or is_break_glass(place.id, place.user):
        return None
    return f"{place.name} asks its members to log in by single sign-on."

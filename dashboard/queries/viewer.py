"""Finds who looks at a live page, from their session."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, load_backend
from django.utils.crypto import constant_time_compare

from ollamamax.identity.models import User
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.sessions import current_place
from ollamamax.kernel.principal import Principal


def find_viewer(session_key: str | None) -> Principal | None:
    """The user of the session, acting in the session's tenant; ``None`` when it has ended or the user is disabled.

    Reads the session anew each time (three queries): the one a socket was opened with does not learn of its end.
    """
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = _user_of(session)
    if user is None:
        return None
    place = current_place(session, tenants_of(user))
    return Principal("user", user.id.hex, None, user.email) if place is None else principal_of(user, place)


def _user_of(session: Any) -> User | None:
    """The session's user, by the same rules as `django.contrib.auth.get_user`, but without changing the session."""
    backend = session.get(BACKEND_SESSION_KEY)
    if backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    user: User | None = load_backend(backend).get_user(session[SESSION_KEY])
    if user is None:
        return None
    held = session.get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return user if any(constant_time_compare(held, hashed) for hashed in hashes) else None

"""Logging in and out, by session cookie."""

from __future__ import annotations

from django.contrib.auth import authenticate, login, logout
from django.db import transaction
from django.http import HttpRequest

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import TenantRole, tenants_of
from ollamamax.kernel.errors import Overloaded, Unauthenticated
from ollamamax.kernel.principal import Principal

TENANT = "tenant"
"""The session's entry that names the tenant its user acts in (UUID, hex)."""
REFUSED = "The email address or the password is wrong."

log = logs.get(__name__)


def log_in(*, request: HttpRequest, email: str, password: str, request_id: str = "") -> User:
    """Begin a session under a new session id. The same `Unauthenticated` for an unknown address and a wrong password.

    Raises `Overloaded` while this address is locked out after too many failures.
    """
    # Small letters, so that another case of the same address does not get attempts of its own.
    found = authenticate(request, email=email.strip().lower(), password=password)
    if getattr(request, "axes_locked_out", False):
        raise Overloaded("Too many failed attempts. Try again later.", retry_after=lock_out_seconds())
    if not isinstance(found, User):
        log.info("log_in_refused", request=request_id)
        raise Unauthenticated(REFUSED)
    with transaction.atomic(durable=True):
        login(request, found)
        places = tenants_of(found)
        if places:
            request.session[TENANT] = places[0].id.hex
        record(
            acting=_acting(found, places, request_id),
            action="session.log_in",
            target_type="user",
            target_id=found.id,
            tenant=places[0].id if places else None,
        )
    return found


def log_out(*, request: HttpRequest, acting: Principal | None) -> None:
    """End the session; ``acting`` is ``None`` for one that nobody was logged in to."""
    if acting is None:
        logout(request)
        return
    with transaction.atomic(durable=True):
        logout(request)
        record(acting=acting, action="session.log_out", target_type="user", target_id=acting.id, tenant=acting.tenant)


def lock_out_seconds() -> float:
    """How long a lock-out lasts."""
    from axes.helpers import get_cool_off  # reads the settings when imported

    lasts = get_cool_off()
    return 900.0 if lasts is None else lasts.total_seconds()


def _acting(user: User, places: list[TenantRole], request_id: str) -> Principal:
    return Principal("user", user.id.hex, places[0].id.hex if places else None, user.email, request=request_id)

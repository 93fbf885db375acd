"""Logging in and out, by session cookie."""

from __future__ import annotations

import uuid

from django.contrib.auth import authenticate, login, logout
from django.db import transaction
from django.http import HttpRequest

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity import sockets
from ollamamax.identity.actions import attempt
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import TenantRole, tenants_of
from ollamamax.kernel.errors import Unauthenticated
from ollamamax.kernel.principal import Principal

TENANT = "tenant"
"""The session's entry that names the tenant its user acts in (UUID, hex)."""
REFUSED = "The email address or the password is wrong."

log = logs.get(__name__)


def log_in(*, request: HttpRequest, email: str, password: str, request_id: str = "") -> User:
    """Begin a session under a new session id. The same `Unauthenticated` for an unknown address and a wrong password.

    Raises `Overloaded` while too many log-ins have failed, of this account or from this address: see `throttle`.
    """
    email = email.strip().lower()
    tried = attempt.begin(email=email, address=request.META.get("REMOTE_ADDR", ""), request=request_id)
    found = authenticate(request, email=email, password=password)
    if not isinstance(found, User):
        log.info("log_in_refused", request=request_id)
        attempt.failed(tried)
        raise Unauthenticated(REFUSED)
    with transaction.atomic(durable=True):
        login(request, found)
        attempt.succeeded(tried)
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
        sockets.recheck_on_commit([uuid.UUID(acting.id)])


def _acting(user: User, places: list[TenantRole], request_id: str) -> Principal:
    return Principal("user", user.id.hex, places[0].id.hex if places else None, user.email, request=request_id)

"""Logging in and out by session cookie, and acting in another tenant."""

from __future__ import annotations

import datetime
import time
import uuid
from collections.abc import Mapping
from typing import Any, cast

from django.contrib.auth import authenticate, login, logout
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity import sessions, sockets, throttle
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.account import end_sessions_on_commit
from ollamamax.identity.actions.pending_factor import PENDING, pending_user, wait_for_factor
from ollamamax.identity.actions.playground import end_tokens_on_commit
from ollamamax.identity.actions.proof import ShownProof, check_proof, find_by_passkey, take_challenge
from ollamamax.identity.measuring import log_in_ended
from ollamamax.identity.models import Membership, User, UserSession
from ollamamax.identity.queries.member import TenantRole, principal_of, tenants_of
from ollamamax.identity.queries.second_factor import has_factor
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import TENANT, Factor, LogIn
from ollamamax.kernel.errors import Forbidden, InvalidRequest, NotFound, Overloaded, Unauthenticated
from ollamamax.kernel.principal import Principal

REFUSED = "The email address or the password is wrong."

MOST_SESSIONS = 50
"""Of one user."""
MOST_AGENT = 300
SEEN = datetime.timedelta(minutes=5)
"""How exactly it is kept when a session was last seen."""

_BACKEND = "django.contrib.auth.backends.ModelBackend"
"""Finds the user of a session, however they logged in: none that is deactivated."""

log = logs.get(__name__)


def log_in(*, request: HttpRequest, email: str, password: str, request_id: str = "") -> User | None:
    """Begin a session under a new session id; ``None`` for who has a second factor, which is to come. The same `Unauthenticated` for an unknown address and a wrong password.

    Raises `Overloaded` while too many log-ins have failed, of this account or from this address: see `throttle`.
    """
    email = email.strip().lower()
    try:
        tried = attempt.begin(email=email, address=request.META.get("REMOTE_ADDR", ""), request=request_id)
    except Overloaded:
        log_in_ended("password", "locked_out")
        raise
    found = authenticate(request, email=email, password=password)
    if not isinstance(found, User):
        log.info("log_in_refused", request=request_id)
        log_in_ended("password", "refused")
        attempt.failed(tried)
        raise Unauthenticated(REFUSED)
    log_in = LogIn("password", "", time.time())
    if has_factor(found.pk):
        with transaction.atomic(durable=True):
            attempt.succeeded(tried, wholly=False)
            wait_for_factor(request, found, log_in)
        return None
    places = tenants_of(found)
    if (refused := _refusal_everywhere(log_in, places)) is not None:
        _refuse(tried, found, places[0], refused)
    with transaction.atomic(durable=True):
        attempt.succeeded(tried)
        begin_session(request=request, user=found, log_in=log_in, request_id=request_id)
    log_in_ended(log_in.method, "ok")
    return found


def finish_log_in(*, request: HttpRequest, shown: ShownProof, request_id: str = "") -> User:
    """The second factor of whose password was right. Raises as `check_proof` does, and `Unauthenticated` where nobody waits."""
    user = pending_user(request)
    if user is None:
        raise Unauthenticated("Give your password again: it was too long ago.")
    proof = check_proof(request=request, user=user, shown=shown, purpose="factor", request_id=request_id)
    held = request.session[PENDING]
    log_in = LogIn(held["method"], held["provider"], time.time(), cast("Factor", proof))
    tenant = uuid.UUID(held["tenant"]) if held["tenant"] else None
    places = tenants_of(user)
    if (refused := _refusal_everywhere(log_in, places)) is not None:
        request.session.pop(PENDING, None)
        raise Forbidden(refused, tenant=places[0].slug)
    with transaction.atomic(durable=True):
        begin_session(request=request, user=user, log_in=log_in, request_id=request_id, tenant=tenant)
        request.session.pop(PENDING, None)
    log_in_ended(log_in.method, "ok")
    return user


def log_in_by_passkey(*, request: HttpRequest, credential: Mapping[str, Any], request_id: str = "") -> User:
    """By a passkey alone, which says itself whose it is and has verified them. Raises `Unauthenticated`, `Overloaded`, and `Forbidden` where
    no tenant of theirs takes one."""
    network = throttle.network_of(request.META.get("REMOTE_ADDR", ""))
    attempt.count("passkey", network)
    found = find_by_passkey(request, credential, take_challenge(request, "log_in"), alone=True)
    if found is None or not found.user.is_active:
        log_in_ended("passkey", "refused")
        raise Unauthenticated("This passkey is not known here.")
    user, log_in = found.user, LogIn("passkey", "", time.time())
    places = tenants_of(user)
    if (refused := _refusal_everywhere(log_in, places)) is not None:
        raise Forbidden(refused, tenant=places[0].slug)
    with transaction.atomic(durable=True):
        attempt.give_back("passkey", network)
        begin_session(request=request, user=user, log_in=log_in, request_id=request_id)
    log_in_ended(log_in.method, "ok")
    return user


def confirm_session(*, acting: Principal, request: HttpRequest, user: User, shown: ShownProof) -> None:
    """The session's user shows anew that it is they. Who has a second factor shows that, for a password alone is not enough then.

    Raises as `check_proof` does.
    """
    if shown.password and has_factor(user.pk):
        raise InvalidRequest("You have a second factor: show that.", param="password")
    proof = check_proof(request=request, user=user, shown=shown, purpose="confirm", request_id=acting.request)
    with transaction.atomic(durable=True):
        sessions.confirm(request.session, proof, time.time())
        record(
            acting=acting,
            action="session.confirm",
            target_type="user",
            target_id=user.pk,
            tenant=acting.tenant,
            detail={"proof": proof},
        )


def _refusal_everywhere(log_in: LogIn, places: list[TenantRole]) -> str | None:
    """Why none of the tenants lets somebody in who logs in like this; ``None`` where one does, and for who can set up what is asked for."""
    closed = [why for place in places if (why := sessions.refusal(log_in, place)) is not None]
    if not places or len(closed) < len(places) or any(sessions.is_kept_out(log_in, place) for place in places):
        return None
    return closed[0]


def _refuse(tried: attempt.Attempt, user: User, place: TenantRole, why: str) -> None:
    """The password is right, and no tenant of its user takes one. Raises `Forbidden` with the tenant that says how to log in."""
    with transaction.atomic(durable=True):
        attempt.succeeded(tried)
        if attempt.has_room(timezone.now()):
            record(
                acting=_acting(user, place, tried.request),
                action="session.refuse_password",
                target_type="user",
                target_id=user.id,
                tenant=place.id,
                detail={"email": user.email, "address": tried.network},
            )
    raise Forbidden(why, tenant=place.slug)


def begin_session(
    *, request: HttpRequest, user: User, log_in: LogIn, request_id: str = "", tenant: uuid.UUID | None = None
) -> UserSession:
    """In a transaction: whoever was found to be this user is logged in, under a new session id, and acts in ``tenant``, where
    policies let them, or the first that does."""
    login(request, user, backend=_BACKEND)
    # A session that began before its log-in, as for an identity provider, may have been given a short life.
    request.session.set_expiry(None)
    # What was proven in the session before says nothing of this log-in.
    request.session.pop(sessions.CONFIRMED, None)
    sessions.remember(request.session, log_in)
    if tenant is not None:
        request.session[TENANT] = tenant.hex
    known = _track(request, user)
    place = sessions.current_place(request.session, tenants_of(user))
    if place is not None:
        request.session[TENANT] = place.id.hex
        note_log_in(user, place, log_in)
    record(
        acting=_acting(user, place, request_id),
        action="session.log_in",
        target_type="user",
        target_id=user.id,
        tenant=None if place is None else place.id,
        detail={"method": log_in.method, "provider": log_in.provider},
    )
    return known


def note_log_in(user: User, place: TenantRole, log_in: LogIn) -> None:
    """So that a tenant's members are listed with when they were last there, and not with what they do elsewhere. Queries: 1."""
    with tenant_scope(place.id):
        Membership.objects.filter(user=user).update(last_log_in_at=timezone.now(), last_log_in_method=log_in.method)


def enter_tenant(*, request: HttpRequest, user: User, tenant_id: uuid.UUID, request_id: str = "") -> TenantRole:
    """Let the session act in another tenant of its user, under a new session id. Its live pages of the one before close.

    Raises `NotFound` for a tenant that the user is no active member of, and `Forbidden` for one whose policy is against it.
    """
    place = next((each for each in tenants_of(user) if each.id == tenant_id), None)
    if place is None:
        raise NotFound("You are no member of such a tenant.")
    why = sessions.refusal(sessions.log_in_of(request.session), place)
    if why is not None:
        raise Forbidden(why, tenant=place.slug)
    with transaction.atomic(durable=True):
        request.session[TENANT] = place.id.hex
        known = UserSession.objects.filter(session_key=request.session.session_key)
        # What the page was given for the tenant before is of no use in this one.
        end_tokens_on_commit(known.values_list("pk", flat=True))
        before = request.session.session_key
        request.session.cycle_key()
        UserSession.objects.filter(session_key=before).update(session_key=request.session.session_key)
        record(
            acting=principal_of(user, place, request_id),
            action="session.enter_tenant",
            target_type="user",
            target_id=user.id,
            tenant=place.id,
        )
        sockets.recheck_on_commit([user.id])
        how = sessions.log_in_of(request.session)
        if how is not None:
            note_log_in(user, place, how)
    return place


def log_out(*, request: HttpRequest, acting: Principal | None) -> None:
    """End the session; ``acting`` is ``None`` for one that nobody was logged in to."""
    if acting is None:
        logout(request)
        return
    with transaction.atomic(durable=True):
        known = UserSession.objects.filter(session_key=request.session.session_key)
        end_sessions_on_commit(list(known.values_list("pk", flat=True)))
        logout(request)
        record(acting=acting, action="session.log_out", target_type="user", target_id=acting.id, tenant=acting.tenant)
        sockets.recheck_on_commit([uuid.UUID(acting.id)])


def session_of(*, request: HttpRequest, user: User) -> UserSession:
    """The row of the session that a request came with; one that began before there were rows gets one now. Queries: 1 to 3."""
    found = UserSession.objects.filter(session_key=request.session.session_key).first()
    if found is None:
        return _track(request, user)
    if timezone.now() - found.seen_at > SEEN:
        found.seen_at = timezone.now()
        found.save(update_fields=["seen_at"])
    return found


def _track(request: HttpRequest, user: User) -> UserSession:
    if request.session.session_key is None:
        request.session.save()
    found, _ = UserSession.objects.update_or_create(
        session_key=request.session.session_key,
        defaults={
            "user": user,
            "address": request.META.get("REMOTE_ADDR") or None,
            "agent": request.headers.get("User-Agent", "")[:MOST_AGENT],
        },
    )
    # Of a user with many the oldest end: the table grows with people, not with log-ins.
    old = UserSession.objects.filter(user=user).order_by("-created_at", "-id")[MOST_SESSIONS:]
    end_sessions_on_commit(list(old.values_list("pk", flat=True)))
    return found


def _acting(user: User, place: TenantRole | None, request_id: str) -> Principal:
    return Principal("user", user.id.hex, place.id.hex if place else None, user.email, request=request_id)

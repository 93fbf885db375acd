"""What users do with their own account: change the password, end sessions."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.contrib.auth import update_session_auth_hash
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest

from ollamamax.audit.actions import record
from ollamamax.identity import sockets
from ollamamax.identity.actions import attempt
from ollamamax.identity.actions.playground import end_tokens_on_commit
from ollamamax.identity.actions.user import set_password
from ollamamax.identity.models import User, UserSession
from ollamamax.identity.queries.session import get_session, sessions_of
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.principal import Principal


def change_own_password(
    *, acting: Principal, request: HttpRequest, user: User, session: UserSession, current: str, new: str
) -> None:
    """Every other session of the user ends, and this one goes on under a new id.

    Raises `InvalidRequest` for a wrong password, which counts as an attempt to log in, and for a new one that is too weak, and `Overloaded`
    after too many attempts.
    """
    tried = attempt.begin(email=user.email.lower(), address=request.META.get("REMOTE_ADDR", ""), request=acting.request)
    if not user.check_password(current):
        attempt.failed(tried)
        raise InvalidRequest("This is not your password.", param="current")
    with transaction.atomic(durable=True):
        attempt.succeeded(tried)
        locked = User.objects.select_for_update().get(pk=user.pk)
        set_password(locked, new, param="new")
        locked.save(update_fields=["password"])
        end_sessions_on_commit([each.pk for each in sessions_of(user.pk) if each.pk != session.pk])
        end_tokens_on_commit([session.pk])
        update_session_auth_hash(request, locked)
        UserSession.objects.filter(pk=session.pk).update(session_key=request.session.session_key)
        record(
            acting=acting,
            action="user.change_password",
            target_type="user",
            target_id=user.pk,
            tenant=None,
            detail={"email": user.email},
        )
        sockets.recheck_on_commit([user.pk])


def end_session(*, acting: Principal, session_id: uuid.UUID) -> None:
    """Log one of the acting user's sessions out, with its live pages and its playground. Raises `NotFound` for another's."""
    user = uuid.UUID(acting.id)
    with transaction.atomic(durable=True):
        found = get_session(user, session_id)
        end_sessions_on_commit([found.pk])
        record(
            acting=acting,
            action="session.end",
            target_type="user",
            target_id=user,
            tenant=acting.tenant,
            detail={"session": found.pk.hex, "address": found.address or "", "agent": found.agent},
        )
        sockets.recheck_on_commit([user])


def end_other_sessions(*, acting: Principal, session: UserSession) -> int:
    """Log all of the acting user's sessions out but this one; returns how many those were."""
    user = uuid.UUID(acting.id)
    with transaction.atomic(durable=True):
        others = [each.pk for each in sessions_of(user) if each.pk != session.pk]
        end_sessions_on_commit(others)
        record(
            acting=acting,
            action="session.end_others",
            target_type="user",
            target_id=user,
            tenant=acting.tenant,
            detail={"sessions": len(others)},
        )
        sockets.recheck_on_commit([user])
    return len(others)


def end_sessions_on_commit(sessions: Collection[uuid.UUID]) -> None:
    """In a transaction: these sessions are known no more, and their playground tokens end within a second. Queries: 3 to 5."""
    if not sessions:
        return
    end_tokens_on_commit(sessions)
    rows = UserSession.objects.filter(pk__in=sessions)
    Session.objects.filter(session_key__in=list(rows.values_list("session_key", flat=True))).delete()
    rows.delete()

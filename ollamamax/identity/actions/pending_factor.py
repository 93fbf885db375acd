"""Who showed a password in this session, while their second factor is still to come."""

from __future__ import annotations

import time
import uuid

from django.contrib.auth import logout
from django.http import HttpRequest

from ollamamax.identity.models import User
from ollamamax.identity.sessions import LogIn

PENDING = "pending_factor"
"""The session's entry that names whose password was right, when, and by which way they came."""
PENDING_SECONDS = 300.0


def pending_user(request: HttpRequest) -> User | None:
    """Whose password was right in this session, a moment ago, while their second factor is still to come."""
    held = request.session.get(PENDING)
    if held is None or time.time() - held["at"] > PENDING_SECONDS:
        return None
    user = User.objects.filter(pk=uuid.UUID(held["user"]), is_active=True).first()
    # A password that was changed meanwhile is none that was right.
    return user if user is not None and held["hash"] == user.get_session_auth_hash() else None


def wait_for_factor(request: HttpRequest, user: User, log_in: LogIn, tenant: uuid.UUID | None = None) -> None:
    """Under a new session id; nobody is logged in by it, and nothing of who was before stays. ``tenant``: where they will act."""
    logout(request)
    request.session.cycle_key()
    request.session[PENDING] = {
        "user": user.pk.hex,
        "at": time.time(),
        "hash": user.get_session_auth_hash(),
        "method": log_in.method,
        "provider": log_in.provider,
        "tenant": tenant.hex if tenant else "",
    }
    request.session.set_expiry(int(PENDING_SECONDS))

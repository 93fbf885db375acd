"""Identities that users link to accounts which they have already: by the proof of both, never by an address."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from ollamamax.audit.actions import record
from ollamamax.identity.actions import attempt
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import find_user
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import Forbidden, NotFound, Unauthenticated
from ollamamax.kernel.principal import Principal
from ollamamax.sso.actions.arrival import email_of, log_in_through
from ollamamax.sso.models import ExternalIdentity, IdentityProvider
from ollamamax.sso.queries.provider import find_provider
from ollamamax.sso.refusals import SsoRefused
from ollamamax.sso.vouched import Vouched

PENDING = "sso_pending"
PENDING_SECONDS = 900.0


@dataclass(frozen=True)
class PendingLink:
    """Somebody a provider vouched for in this session, under the address of an account that is not linked."""

    provider: IdentityProvider
    email: str
    vouched: Vouched


def keep_pending(*, request: HttpRequest, provider: IdentityProvider, vouched: Vouched) -> None:
    """Without the hint: an ID token names somebody to others, sessions are not encrypted, and only log-out would have use for it."""
    held = {"subject": vouched.subject, "claims": dict(vouched.claims), "sid": vouched.sid}
    request.session[PENDING] = {"provider": provider.pk.hex, "at": time.time()} | held


def pending_of(request: HttpRequest) -> PendingLink | None:
    held: Any = request.session.get(PENDING)
    if held is None or time.time() - held["at"] > PENDING_SECONDS:
        return None
    provider = find_provider(uuid.UUID(held["provider"]))
    if provider is None:
        return None
    vouched = Vouched(held["subject"], held["claims"], held["sid"])
    try:
        return PendingLink(provider, email_of(provider, vouched.claims), vouched)
    except SsoRefused:
        return None  # the provider was changed since, and says the address elsewhere


def link_by_password(*, request: HttpRequest, password: str, request_id: str = "") -> User:
    """Link who waits in this session to the account with their address, whose password they know too, and log them in.

    Raises `NotFound` when nobody waits, `Unauthenticated`, `Overloaded` after too many attempts, and `Forbidden` where the provider may not.
    """
    pending = pending_of(request)
    if pending is None:
        raise NotFound("Nobody waits here to be linked: log in by single sign-on again.")
    address = request.META.get("REMOTE_ADDR", "")
    tried = attempt.begin(email=pending.email.lower(), address=address, request=request_id)
    user = find_user(pending.email)
    if user is None or not user.is_active or not user.check_password(password):
        attempt.failed(tried)
        raise Unauthenticated("The password is wrong.")
    with transaction.atomic():
        attempt.succeeded(tried)
    try:
        log_in_through(
            request=request, provider=pending.provider, vouched=pending.vouched, request_id=request_id, user=user
        )
    except SsoRefused as refused:
        raise Forbidden(refused.detail, why=str(refused.why)) from refused
    request.session.pop(PENDING, None)
    return user


def unlink(*, acting: Principal, identity_id: uuid.UUID) -> None:
    """Take back that an identity is the acting user's. Raises `NotFound` for another's, and `Forbidden` for the last way of who has no password."""
    tenant_id = uuid.UUID(acting.tenant or "")
    with tenant_scope(tenant_id), transaction.atomic(durable=True):
        found = (
            ExternalIdentity.objects.select_related("user", "provider")
            .filter(pk=identity_id, user=uuid.UUID(acting.id))
            .first()
        )
        if found is None:
            raise NotFound("There is no such identity of yours in this tenant.")
        if not found.user.has_usable_password():
            raise Forbidden("You have no password: this is how you log in.")
        provider, subject = found.provider, found.subject
        found.delete()
        record(
            acting=acting,
            action="user.unlink_identity",
            target_type="user",
            target_id=acting.id,
            tenant=tenant_id,
            detail={"provider": provider.name, "subject": subject},
        )

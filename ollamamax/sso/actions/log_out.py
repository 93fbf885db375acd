"""Ends sessions together with those at the identity provider: when the user logs out here, and when the provider says so."""

from __future__ import annotations

import datetime
from urllib.parse import urlencode

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone

from ollamamax import logs
from ollamamax.audit.actions import record
from ollamamax.identity import sockets
from ollamamax.identity.actions.account import end_sessions_on_commit
from ollamamax.identity.actions.session import log_out
from ollamamax.identity.models import UserSession
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.principal import Principal
from ollamamax.secret_box import CannotOpen
from ollamamax.sso import discovery
from ollamamax.sso.models import ExternalSession, IdentityProvider, UsedToken
from ollamamax.sso.queries.provider import external_session_of
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.sealed import opened
from ollamamax.sso.tokens import LEEWAY, LOG_OUT_SECONDS, TokenExpected, check_log_out_token

log = logs.get(__name__)


def log_out_here_and_there(*, acting: Principal | None, request: HttpRequest) -> str:
    """End the session, and return the address at which the provider ends its own; empty where it has none, or cannot be asked."""
    address = _end_address(external_session_of(request.session.session_key or ""))
    log_out(request=request, acting=acting)
    return address


def _end_address(found: ExternalSession | None) -> str:
    """OpenID Connect RP-Initiated Logout 1.0, section 2."""
    if found is None:
        return ""
    provider = found.identity.provider
    try:
        end = discovery.provider_of(provider.issuer).end_session
        hint = opened(found.sealed_token, found.place)
    except (SsoRefused, CannotOpen) as error:
        log.info("sso_log_out_only_here", provider=provider.pk.hex, error=type(error).__name__)
        return ""
    if not end:
        return ""
    query = {
        "id_token_hint": hint,
        "client_id": provider.client_id,
        "post_logout_redirect_uri": f"{settings.PUBLIC_URL.rstrip('/')}/login",
    }
    return f"{end}{'&' if '?' in end else '?'}{urlencode({name: value for name, value in query.items() if value})}"


def obey_log_out_token(*, provider: IdentityProvider, token: str, request_id: str = "") -> int:
    """End the sessions that a provider's logout token names, with their live pages and playgrounds; returns how many.

    A token counts once. Raises `SsoRefused`.
    """
    document = discovery.provider_of(provider.issuer)
    _, claims = discovery.verified_claims(document, token, from_anybody=True)
    now = timezone.now()
    expected = TokenExpected(provider.issuer, provider.client_id)
    subject, sid, identifier = check_log_out_token(claims, expected, now=now.timestamp())
    try:
        with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
            UsedToken.objects.create(
                tenant_id=provider.tenant_id,
                provider=provider,
                identifier=identifier,
                expires_at=now + datetime.timedelta(seconds=LOG_OUT_SECONDS + 2 * LEEWAY),
            )
            named = ExternalSession.objects.filter(identity__provider=provider)
            named = named.filter(identity__subject=subject) if subject else named
            named = named.filter(sid=sid) if sid else named
            sessions = list(named.values_list("session_id", flat=True))
            users = list(UserSession.objects.filter(pk__in=sessions).values_list("user_id", flat=True).distinct())
            end_sessions_on_commit(sessions)
            sockets.recheck_on_commit(users)
            record(
                acting=Principal("system", "sso", provider.tenant_id.hex, provider.name, request=request_id),
                action="session.end_by_provider",
                target_type="identity_provider",
                target_id=provider.pk,
                tenant=provider.tenant_id,
                detail={"sessions": len(sessions), "subject": subject},
            )
    except IntegrityError as error:
        raise SsoRefused(Why.REPLAYED, "This logout token was obeyed already.") from error
    return len(sessions)

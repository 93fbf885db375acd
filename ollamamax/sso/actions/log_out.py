"""Ends sessions together with those at the identity provider: when the user logs out here, and when the provider says so."""

from __future__ import annotations

import datetime
import json
from urllib.parse import urlencode

from django.conf import settings
from django.db import IntegrityError, models, transaction
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
from ollamamax.sso.actions.role import acting_for
from ollamamax.sso.actions.saml import use_once
from ollamamax.sso.models import ExternalSession, IdentityProvider, UsedToken
from ollamamax.sso.queries.provider import external_session_of
from ollamamax.sso.queries.saml import key_of_ours, settings_of
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.assertion import NAME_ID, NameId
from ollamamax.sso.saml.messages import LogOutRequest, log_out_request, signed_address
from ollamamax.sso.sealed import opened
from ollamamax.sso.tokens import LEEWAY, LOG_OUT_SECONDS, TokenExpected, check_log_out_token

log = logs.get(__name__)


def log_out_here_and_there(*, acting: Principal | None, request: HttpRequest) -> str:
    """End the session, and return the address at which the provider ends its own; empty where it has none, or cannot be asked."""
    address = _end_address(external_session_of(request.session.session_key or ""))
    log_out(request=request, acting=acting)
    return address


def _end_address(found: ExternalSession | None) -> str:
    if found is None:
        return ""
    provider = found.identity.provider
    address = {IdentityProvider.Kind.OIDC: _end_by_oidc, IdentityProvider.Kind.SAML: _end_by_saml}
    end = address.get(IdentityProvider.Kind(provider.kind))
    try:
        return "" if end is None else end(provider, found, opened(found.sealed_token, found.place))
    except (SsoRefused, CannotOpen) as error:
        log.info("sso_log_out_only_here", provider=provider.pk.hex, error=type(error).__name__)
        return ""


def _end_by_oidc(provider: IdentityProvider, found: ExternalSession, hint: str) -> str:
    """OpenID Connect RP-Initiated Logout 1.0, section 2."""
    end = discovery.provider_of(provider.issuer).end_session
    if not end:
        return ""
    query = {
        "id_token_hint": hint,
        "client_id": provider.client_id,
        "post_logout_redirect_uri": f"{settings.PUBLIC_URL.rstrip('/')}/login",
    }
    return f"{end}{'&' if '?' in end else '?'}{urlencode({name: value for name, value in query.items() if value})}"


def _end_by_saml(provider: IdentityProvider, found: ExternalSession, hint: str) -> str:
    """SAML profiles 2.0, 4.4: a request that the browser brings. A session whose NameID was not kept ends here alone."""
    trust = settings_of(provider)
    if not trust.slo_url or not hint:
        return ""
    name = NameId(*json.loads(hint))
    request = log_out_request(
        to=trust.slo_url, us=provider.client_id, name_id=name, session_index=found.sid, now=timezone.now()
    )
    return signed_address(trust.slo_url, request, key=key_of_ours(trust))


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
            return _end(provider, named, subject, request_id)
    except IntegrityError as error:
        raise SsoRefused(Why.REPLAYED, "This logout token was obeyed already.") from error


def obey_log_out_request(*, provider: IdentityProvider, asked: LogOutRequest, request_id: str = "") -> int:
    """End the sessions that a provider's SAML request names: all of a NameID, or those of its own sessions. Returns how many.

    A request counts once. Raises `SsoRefused`.
    """
    with tenant_scope(provider.tenant_id), transaction.atomic(durable=True):
        use_once(provider, asked.id, asked.ends)
        named = ExternalSession.objects.filter(identity__provider=provider)
        named = named.filter(**{f"identity__claims__{NAME_ID}": asked.name_id})
        named = named.filter(sid__in=asked.session_indexes) if asked.session_indexes else named
        return _end(provider, named, asked.name_id, request_id)


def _end(provider: IdentityProvider, named: models.QuerySet[ExternalSession], subject: str, request_id: str) -> int:
    """In a transaction: the sessions, with what runs in them."""
    sessions = list(named.values_list("session_id", flat=True))
    users = list(UserSession.objects.filter(pk__in=sessions).values_list("user_id", flat=True).distinct())
    end_sessions_on_commit(sessions)
    sockets.recheck_on_commit(users)
    record(
        acting=acting_for(provider, request_id),
        action="session.end_by_provider",
        target_type="identity_provider",
        target_id=provider.pk,
        tenant=provider.tenant_id,
        detail={"sessions": len(sessions), "subject": subject},
    )
    return len(sessions)

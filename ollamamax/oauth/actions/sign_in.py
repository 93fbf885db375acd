"""Lets people into applications: what is asked of who comes with an application's request, and where they are led."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlencode

import msgspec
from django.core.signing import BadSignature, TimestampSigner
from django.db import transaction
from django.http import HttpRequest

from ollamamax.identity.actions.session import session_of
from ollamamax.identity.models import User
from ollamamax.identity.queries.member import principal_of
from ollamamax.identity.queries.signing_key import public_key_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.identity.sessions import log_in_of
from ollamamax.kernel.principal import Principal
from ollamamax.oauth.actions.exchange import issuer
from ollamamax.oauth.actions.family import refuse_person
from ollamamax.oauth.claims import read_hint
from ollamamax.oauth.grants import ProviderRequest
from ollamamax.oauth.models import Application
from ollamamax.oauth.provider import Authorization, ProviderResponse
from ollamamax.oauth.queries.standing import Against, Standing, standing_of

SINCE = "since"
"""The parameter that we add where somebody has to log in anew: when that was asked for (Unix seconds), signed, so that nobody writes an earlier time."""
_SINCE_LASTS = 900
"""Seconds in which somebody logs in, before it is asked anew."""


@dataclass(frozen=True)
class Lead:
    """To a page of the console, from where the browser comes back."""

    address: str


def let_in(
    *, request: HttpRequest, application: Application, parameters: dict[str, str], request_id: str
) -> ProviderResponse | Lead:
    """What becomes of an application's request: back to it with a code or with what is wrong, or to where somebody logs in first.

    The ``redirect_uri`` of the parameters is the application's.
    """
    asking = Authorization(ProviderRequest("GET", application, parameters))
    if asking.refused is not None:
        return asking.refused
    user = request.user if isinstance(request.user, User) else None
    if user is None or _is_too_old(request, asking, parameters) or not _is_hinted(user, application, parameters):
        if "none" in asking.prompt:
            return asking.refusal("login_required")
        return _log_in(parameters, again=user is not None)
    log_in = log_in_of(request.session)
    found = standing_of(application, user, log_in)
    if isinstance(found, Standing):
        acting = msgspec.structs.replace(principal_of(user, found.place, request_id), address=_address(request))
        with tenant_scope(application.tenant_id), transaction.atomic(durable=True):
            session = session_of(request=request, user=user)
            auth_time = log_in.at if log_in is not None else session.created_at.timestamp()
            return asking.grant(person=found, session=session, auth_time=auth_time, acting=acting)
    if found in {Against.POLICY, Against.FACTOR}:
        if "none" in asking.prompt:
            return asking.refusal("interaction_required")
        if found == Against.FACTOR:
            return Lead("/account")
        return Lead(f"/log-in/{application.tenant.slug}?{urlencode({'next': _back(parameters)})}")
    acting = Principal("user", user.pk.hex, None, user.email, request=request_id, address=_address(request))
    refuse_person(acting=acting, application=application, why=str(found))
    return asking.refusal("access_denied", "You may not use this application.")


def _is_too_old(request: HttpRequest, asking: Authorization, parameters: dict[str, str]) -> bool:
    """Whether the request asks for a log-in that is newer than the session's."""
    log_in = log_in_of(request.session)
    at = 0.0 if log_in is None else log_in.at
    since = _since(parameters)
    if since is not None:
        return at < since
    if asking.prompt & {"login", "select_account"}:
        return True
    return "max_age" in parameters and at < time.time() - int(parameters["max_age"])


def _since(parameters: dict[str, str]) -> int | None:
    """When a new log-in was asked for. ``None`` where we did not ask, or too long ago."""
    try:
        return int(_signer().unsign(parameters.get(SINCE, ""), max_age=_SINCE_LASTS))
    except BadSignature:
        return None


def _signer() -> TimestampSigner:
    return TimestampSigner(salt="oauth.since")


def _is_hinted(user: User, application: Application, parameters: dict[str, str]) -> bool:
    """Whether it is the person whom the application's ``id_token_hint`` names, where it has one. One that is none of ours hints at nobody."""
    if "id_token_hint" not in parameters:
        return True
    hint = read_hint(parameters["id_token_hint"], public_key_of, issuer=issuer())
    return hint is not None and hint.client == str(application.pk) and hint.subject == str(user.pk)


def _log_in(parameters: dict[str, str], *, again: bool) -> Lead:
    if again and _since(parameters) is None:
        parameters = parameters | {SINCE: _signer().sign(str(int(time.time())))}
    query = {"next": _back(parameters)} | ({"again": "1"} if again else {})
    return Lead(f"/login?{urlencode(query)}")


def _back(parameters: dict[str, str]) -> str:
    return f"/oauth/authorize?{urlencode(parameters)}"


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR") or "")

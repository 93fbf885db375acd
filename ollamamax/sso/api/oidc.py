"""OpenID Connect by way of the browser: to the provider and back with a code, and the provider's word that a session is over."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from ollamamax import logs
from ollamamax.identity.api.request_id import id_of
from ollamamax.secret_box import CannotOpen
from ollamamax.sso import discovery
from ollamamax.sso.actions.log_out import obey_log_out_token
from ollamamax.sso.api.returning import Return, enabled_provider
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.queries.provider import client_of
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.relying_party import STATES, AuthorizationRequest, RelyingParty
from ollamamax.sso.vouched import Vouched

log = logs.get(__name__)


def begin_oidc(request: HttpRequest, provider: IdentityProvider, asked: dict[str, Any], hint: str) -> str:
    """The provider's address to lead the browser to; what comes back is to ``asked``. Raises `SsoRefused`."""
    try:
        client = client_of(provider)
    except CannotOpen as error:
        raise SsoRefused(Why.BAD_ANSWER, "The client's secret cannot be read: enter it again.") from error
    document = discovery.provider_of(provider.issuer)
    return AuthorizationRequest(client, document, hint).begin(request, asked)


@require_GET
@never_cache
def callback(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """The provider's answer, by way of the browser."""
    return Return(request, provider_id).answered(_come_back)


def _come_back(coming: Return) -> HttpResponse:
    request = coming.request
    coming.take(request.session.get(STATES, {}), request.GET.get("state", ""), STATES)
    coming.provider = provider = enabled_provider(coming.provider_id, IdentityProvider.Kind.OIDC)
    return coming.arrive(provider, _redeemed(request, provider, coming.asked))


def _redeemed(request: HttpRequest, provider: IdentityProvider, asked: dict[str, Any]) -> Vouched:
    """Whom the provider vouches for. Raises `SsoRefused`."""
    document = discovery.provider_of(provider.issuer)
    issuer = request.GET.get("iss")
    if (issuer is None and document.names_itself) or (issuer is not None and issuer != provider.issuer):
        raise SsoRefused(Why.WRONG_ISSUER, "The answer is of another issuer.")
    if "error" in request.GET:
        raise SsoRefused(Why.PROVIDER_SAID, "The provider refused.", said=request.GET["error"])
    try:
        party = RelyingParty(client_of(provider), document)
    except CannotOpen as error:
        raise SsoRefused(Why.BAD_ANSWER, "The client's secret cannot be read: enter it again.") from error
    return party.redeem(request, nonce=asked["nonce"], code_verifier=asked["code_verifier"])


@csrf_exempt  # the token in the body is the credential
@require_POST
@never_cache
def back_channel(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """A logout token of the provider's (OpenID Connect Back-Channel Logout 1.0)."""
    try:
        token = request.POST.get("logout_token", "")
        obey_log_out_token(
            provider=enabled_provider(provider_id, IdentityProvider.Kind.OIDC), token=token, request_id=id_of(request)
        )
    except SsoRefused as refused:
        log.info("sso_log_out_refused", provider=provider_id.hex, why=str(refused.why), detail=refused.detail)
        said = {"error": "invalid_request", "error_description": str(refused.why)}
        return JsonResponse(said, status=400)
    return HttpResponse(status=200)

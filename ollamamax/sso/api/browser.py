"""The addresses that browsers and identity providers come to: to the provider and back, and the provider's word that a session is over.

Whatever goes wrong leads to a page of the console that says what: its address holds a reason of a closed list, and nothing that was sent here.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from ollamamax import logs
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.models import User
from ollamamax.secret_box import CannotOpen
from ollamamax.sso import discovery
from ollamamax.sso.actions.arrival import decision_of, log_in_through, tell_refusal
from ollamamax.sso.actions.linking import keep_pending
from ollamamax.sso.actions.log_out import obey_log_out_token
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.queries.provider import client_of, find_provider
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.relying_party import STATES, AuthorizationRequest, RelyingParty, Vouched

LOG_IN, LINK, TEST = "log_in", "link", "test"
TESTED = "sso_tested"
"""The session's entry that holds what its last test of a provider received."""
STATE_SECONDS = 900.0
_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\]{0,1000}")
log = logs.get(__name__)


def begin_at(
    request: HttpRequest, provider: IdentityProvider, mode: str = LOG_IN, then: str = "/", hint: str = ""
) -> str:
    """The provider's address to lead the browser to. What comes back counts in this session alone. Raises `SsoRefused`."""
    try:
        client = client_of(provider)
    except CannotOpen as error:
        raise SsoRefused(Why.BAD_ANSWER, "The client's secret cannot be read: enter it again.") from error
    document = discovery.provider_of(provider.issuer)
    user = request.user.pk.hex if isinstance(request.user, User) else ""
    more = {"provider": provider.pk.hex, "mode": mode, "then": then, "user": user}
    address = AuthorizationRequest(client, document, hint).begin(request, more)
    if not user:
        # Nobody is logged in yet: of whoever does not come back nothing stays.
        request.session.set_expiry(int(STATE_SECONDS))
    return address


@require_GET
@never_cache
def begin(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """Lead to the provider. Under another name than the public one, where the provider would not lead back to, by way of that."""
    if request.get_host() != urlsplit(settings.PUBLIC_URL).netloc and "moved" not in request.GET:
        query = urlencode({**request.GET.dict(), "moved": "1"})
        return HttpResponseRedirect(f"{settings.PUBLIC_URL.rstrip('/')}{request.path}?{query}")
    then = request.GET.get("next", "/")
    try:
        provider = _provider(provider_id)
        return HttpResponseRedirect(begin_at(request, provider, then=then if _PATH.fullmatch(then) else "/"))
    except SsoRefused as refused:
        return _told(refused, provider_id)


@require_GET
@never_cache
def callback(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """The provider's answer, by way of the browser."""
    asked: dict[str, Any] = {}
    provider: IdentityProvider | None = None
    vouched: Vouched | None = None
    try:
        asked = _asked(request, provider_id)
        provider = _provider(provider_id)
        vouched = _redeemed(request, provider, asked)
        return _arrived(request, provider, vouched, asked)
    except SsoRefused as refused:
        log.info("sso_refused", provider=provider_id.hex, why=str(refused.why), detail=refused.detail)
        if asked.get("mode") == TEST:
            return _tested(request, provider_id, vouched, refused=refused)
        if provider is not None:
            tell_refusal(
                provider=provider,
                refused=refused,
                address=request.META.get("REMOTE_ADDR", ""),
                request_id=id_of(request),
                subject=vouched.subject if vouched else "",
            )
            if refused.why == Why.EMAIL_TAKEN and vouched is not None:
                keep_pending(request=request, provider=provider, vouched=vouched)
                return HttpResponseRedirect("/log-in-link")
        return _told(refused, provider_id)


@csrf_exempt  # the token in the body is the credential
@require_POST
@never_cache
def back_channel(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """A logout token of the provider's (OpenID Connect Back-Channel Logout 1.0)."""
    try:
        token = request.POST.get("logout_token", "")
        obey_log_out_token(provider=_provider(provider_id), token=token, request_id=id_of(request))
    except SsoRefused as refused:
        log.info("sso_log_out_refused", provider=provider_id.hex, why=str(refused.why), detail=refused.detail)
        said = {"error": "invalid_request", "error_description": str(refused.why)}
        return JsonResponse(said, status=400)
    return HttpResponse(status=200)


def _provider(provider_id: uuid.UUID) -> IdentityProvider:
    found = find_provider(provider_id)
    if found is None:
        raise SsoRefused(Why.UNKNOWN_PROVIDER, "There is no such identity provider that is enabled.")
    return found


def _asked(request: HttpRequest, provider_id: uuid.UUID) -> dict[str, Any]:
    """What this session asked for under this state, which counts once. Raises `SsoRefused`."""
    held = request.session.get(STATES, {})
    asked: dict[str, Any] | None = held.pop(request.GET.get("state", ""), None)
    if asked is None:
        raise SsoRefused(Why.UNKNOWN_STATE, "This session asked for no such log-in, or has its answer already.")
    request.session[STATES] = held
    # Kept now: what comes of it may take a while, and must not count twice meanwhile.
    request.session.save()
    if asked.get("provider") != provider_id.hex:
        raise SsoRefused(Why.OTHER_PROVIDER, "The log-in was asked of another provider.")
    if time.time() - asked["added_on"] > STATE_SECONDS:
        raise SsoRefused(Why.STATE_EXPIRED, "The log-in took too long.")
    user = request.user.pk.hex if isinstance(request.user, User) else ""
    if asked["mode"] != LOG_IN and asked["user"] != user:
        raise SsoRefused(Why.NOT_LOGGED_IN, "Whoever asked for this is not logged in any more.")
    return asked


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


def _arrived(request: HttpRequest, provider: IdentityProvider, vouched: Vouched, asked: dict[str, Any]) -> HttpResponse:
    if asked["mode"] == TEST:
        return _tested(request, provider.pk, vouched, provider=provider)
    user = request.user if asked["mode"] == LINK and isinstance(request.user, User) else None
    log_in_through(request=request, provider=provider, vouched=vouched, request_id=id_of(request), user=user)
    return HttpResponseRedirect(asked["then"])


def _tested(
    request: HttpRequest,
    provider_id: uuid.UUID,
    vouched: Vouched | None,
    *,
    provider: IdentityProvider | None = None,
    refused: SsoRefused | None = None,
) -> HttpResponse:
    """Nothing is made of it: the one who tests sees what was received."""
    decision = None if provider is None or vouched is None else decision_of(provider, vouched.claims)
    request.session[TESTED] = {
        "provider": provider_id.hex,
        "at": time.time(),
        "subject": "" if vouched is None else vouched.subject,
        "claims": {} if vouched is None else dict(vouched.claims),
        "role": "" if decision is None else decision.role,
        "rule": None if decision is None else decision.rule,
        "why": "" if refused is None else str(refused.why),
        "detail": "" if refused is None else refused.detail,
        "said": "" if refused is None else refused.said,
    }
    return HttpResponseRedirect(f"/single-sign-on/{provider_id}?tab=test")


def _told(refused: SsoRefused, provider_id: uuid.UUID) -> HttpResponse:
    said = {"said": refused.said} if refused.said else {}
    return HttpResponseRedirect(
        f"/log-in-problem?{urlencode({'why': str(refused.why), 'provider': str(provider_id)} | said)}"
    )

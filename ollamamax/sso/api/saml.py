"""SAML 2.0 by way of the browser: our metadata, to the provider and back with an answer, and log-out both ways.

A provider's answer is a form that its page posts here: the session's cookie does not come along with that (it is ``SameSite=Lax``). So the
answer is checked and kept, and the browser is led to an address of ours with a ticket; there its session says what it had asked for.
"""

from __future__ import annotations

import time
import uuid
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ollamamax import logs
from ollamamax.identity.actions import attempt
from ollamamax.identity.api.request_id import id_of
from ollamamax.identity.throttle import network_of
from ollamamax.kernel.errors import Overloaded
from ollamamax.secret_box import CannotOpen
from ollamamax.sso.actions.log_out import obey_log_out_request
from ollamamax.sso.actions.saml import keep_answer, take_answer, take_assertion
from ollamamax.sso.api.returning import LOG_IN, PATH, Return, enabled_provider, keep_asked, told
from ollamamax.sso.models import IdentityProvider
from ollamamax.sso.queries.saml import expected_of, key_of_ours, service_provider, settings_of
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.saml.assertion import read_response
from ollamamax.sso.saml.documents import from_form, from_query
from ollamamax.sso.saml.messages import log_in_request, log_out_response, read_log_out_request, signed_address
from ollamamax.sso.saml.metadata import our_metadata

REQUESTS = "saml_requests"
log = logs.get(__name__)
_SAML = IdentityProvider.Kind.SAML


def begin_saml(request: HttpRequest, provider: IdentityProvider, asked: dict[str, Any], hint: str) -> str:
    """The provider's address to lead the browser to; what comes back is to ``asked``. Raises `SsoRefused`."""
    trust, us = settings_of(provider), service_provider(provider)
    identifier, message = log_in_request(
        to=trust.sso_url, us=us.entity, acs=us.acs, now=timezone.now(), any_name=bool(trust.subject_claim)
    )
    keep_asked(request, REQUESTS, identifier, asked)
    try:
        return signed_address(trust.sso_url, message, key=key_of_ours(trust))
    except CannotOpen as error:
        raise SsoRefused(
            Why.BAD_ANSWER, "Our key for this provider cannot be read: set the provider up anew."
        ) from error


@require_GET
@never_cache
def metadata(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """What the provider is told of us. Nothing in it is secret."""
    try:
        provider = enabled_provider(provider_id, _SAML)
    except SsoRefused:
        return HttpResponse("There is no such identity provider.", status=404, content_type="text/plain")
    return HttpResponse(our_metadata(service_provider(provider)), content_type="application/samlmetadata+xml")


@csrf_exempt  # the provider's signature in the body is the credential
@require_POST
@never_cache
def acs(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """The provider's answer, posted by its page."""
    return Return(request, provider_id).answered(_posted)


def _posted(coming: Return) -> HttpResponse:
    _count(coming.request)
    coming.provider = provider = enabled_provider(coming.provider_id, _SAML)
    try:
        expected = expected_of(provider)
    except CannotOpen as error:
        raise SsoRefused(
            Why.BAD_ANSWER, "Our key for this provider cannot be read: set the provider up anew."
        ) from error
    found = read_response(from_form(coming.request.POST.get("SAMLResponse", "")), expected, now=time.time())
    if found.answers:
        ticket = keep_answer(provider, found)
        return HttpResponseRedirect(f"/auth/saml/{provider.pk}/finish?{urlencode({'ticket': ticket})}")
    if not settings_of(provider).unsolicited:
        raise SsoRefused(Why.UNKNOWN_STATE, "Nobody asked for this log-in, and the provider may not begin one.")
    then = coming.request.POST.get("RelayState", "")
    coming.asked = {"mode": LOG_IN, "then": then if PATH.fullmatch(then) else "/"}
    return coming.arrive(provider, take_assertion(provider, found))


@require_GET
@never_cache
def finish(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """The browser, with its session, comes for the answer to what it had asked for."""
    return Return(request, provider_id).answered(_finished)


def _finished(coming: Return) -> HttpResponse:
    provider = enabled_provider(coming.provider_id, _SAML)
    try:
        answers, vouched = take_answer(provider, coming.request.GET.get("ticket", ""))
    except CannotOpen as error:
        raise SsoRefused(Why.UNKNOWN_STATE, "The answer cannot be read.") from error
    coming.provider = provider
    coming.take(coming.request.session.get(REQUESTS, {}), answers, REQUESTS)
    return coming.arrive(provider, vouched)


@csrf_exempt  # the provider's signature is the credential
@require_http_methods(["GET", "POST"])
@never_cache
def slo(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """The provider asks to end sessions, or answers that it ended its own."""
    sent = request.POST if request.method == "POST" else request.GET
    if "SAMLResponse" in sent:
        # Our session ended before the provider was asked: nothing follows from its answer, so nothing is read of it.
        return HttpResponseRedirect("/login")
    try:
        provider = enabled_provider(provider_id, _SAML)
        _count(request)
        trust, us = settings_of(provider), service_provider(provider)
        by_query = request.method == "GET"
        message = sent.get("SAMLRequest", "")
        found = read_log_out_request(
            from_query(message) if by_query else from_form(message),
            query=request.META.get("QUERY_STRING", "") if by_query else None,
            issuer=provider.issuer,
            to=us.slo,
            certificates=trust.certificates,
            now=time.time(),
        )
        obey_log_out_request(provider=provider, asked=found, request_id=id_of(request))
        if not trust.slo_url:
            return HttpResponseRedirect("/login")
        answer = log_out_response(to=trust.slo_url, us=us.entity, answers=found.id, now=timezone.now())
        relay = sent.get("RelayState", "")
        key = key_of_ours(trust)
        return HttpResponseRedirect(
            signed_address(trust.slo_url, answer, key=key, relay=relay if len(relay) <= 500 else "")
        )
    except SsoRefused as refused:
        log.info("sso_log_out_refused", provider=provider_id.hex, why=str(refused.why), detail=refused.detail)
        return told(refused, provider_id)
    except CannotOpen:
        return HttpResponseRedirect("/login")


def _count(request: HttpRequest) -> None:
    """Reading a message costs something, and anybody may send one. Raises `SsoRefused` for an address that sends too many."""
    try:
        attempt.count("sso", network_of(request.META.get("REMOTE_ADDR", "")))
    except Overloaded as error:
        raise SsoRefused(Why.TOO_OFTEN, error.message) from error

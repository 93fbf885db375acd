"""The addresses of the OpenID provider that browsers and applications ask: to log in, who somebody is, to log out."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.common.urls import add_params_to_uri
from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseRedirectBase
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from ollamamax.identity.api.request_id import id_of
from ollamamax.oauth.actions.exchange import claims_for, issuer
from ollamamax.oauth.actions.log_out import LogOut, log_out_for
from ollamamax.oauth.actions.sign_in import Lead, let_in
from ollamamax.oauth.queries.application import find_application

LONGEST = 1900
"""Of a request's parameters together, in bytes: they travel within another address while somebody logs in."""


class _Led(HttpResponseRedirectBase):
    """To a page of ours, or to an address that was registered, whatever its scheme. By GET, whatever led here."""

    status_code = 303

    def __init__(self, address: str) -> None:
        self.allowed_schemes = [urlsplit(address).scheme]
        super().__init__(address)


@csrf_exempt  # nothing is done for a POST: the browser is led back here by GET, with the cookie that another site's POST does not bring
@require_http_methods(["GET", "POST"])
@never_cache
def authorize(request: HttpRequest) -> HttpResponse:
    """A person comes from an application (OpenID Connect Core, section 3.1.2). What is wrong with whose request it is, or where it leads back to, is
    told here and never there."""
    given = request.POST if request.method == "POST" else request.GET
    twice = [name for name in given if len(given.getlist(name)) > 1]
    parameters = {name: str(given[name]) for name in given if name not in twice}
    query = urlencode(parameters)
    if len(query) > LONGEST or "\0" in query or "%00" in query:
        return _problem("bad_request")
    application = find_application(parameters.get("client_id", ""))
    if application is None:
        return _problem("unknown_application")
    if parameters.get("redirect_uri") not in application.redirect_uris:
        return _problem("redirect_address")
    if twice:
        return _problem("bad_request")
    public = urlsplit(settings.PUBLIC_URL)
    if request.method == "POST" or (request.get_host() != public.netloc and "moved" not in parameters):
        # Who logged in under the public name has the cookie there.
        parameters |= {} if request.method == "POST" else {"moved": "1"}
        return _Led(f"{issuer()}{request.path}?{urlencode(parameters)}")
    parameters.pop("moved", None)
    answer = let_in(request=request, application=application, parameters=parameters, request_id=id_of(request))
    if isinstance(answer, Lead):
        return _Led(answer.address)
    # RFC 9207: of whom the answer is, so that an application with several providers mixes none of them up.
    return _Led(add_params_to_uri(dict(answer.headers)["Location"], {"iss": issuer()}))


@csrf_exempt  # the token is the credential, and no session counts
@require_http_methods(["GET", "POST"])
@never_cache
def user_info(request: HttpRequest) -> HttpResponse:
    """Who the bearer's person is (OpenID Connect Core, section 5.3), as it is now."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return HttpResponse(status=401, headers={"WWW-Authenticate": 'Bearer realm="OllamaMax"'})
    try:
        found = claims_for(text.strip())
    except OperationalError:
        said: Any = {"error": "temporarily_unavailable"}
        return JsonResponse(said, status=503, headers={"Retry-After": "5"})
    if found is None:
        challenge = 'Bearer realm="OllamaMax", error="invalid_token"'
        return JsonResponse({"error": "invalid_token"}, status=401, headers={"WWW-Authenticate": challenge})
    return JsonResponse(found)


@csrf_exempt  # what an application signs out by is its person's ID token; without one the person is asked
@require_http_methods(["GET", "POST"])
@never_cache
def end_session(request: HttpRequest) -> HttpResponse:
    """A person logs out in an application, and here too (OpenID Connect RP-Initiated Logout 1.0)."""
    given = request.POST if request.method == "POST" else request.GET
    if len(urlencode(given, doseq=True)) > 2 * LONGEST + 4096 or any(len(given.getlist(name)) > 1 for name in given):
        return _problem("bad_request")
    parameters = {name: str(given[name]) for name in given}
    if request.method == "POST":
        return _Led(f"{issuer()}{request.path}?{urlencode(parameters)}")
    done = log_out_for(request=request, parameters=parameters, request_id=id_of(request))
    if done == LogOut.WRONG_ADDRESS:
        return _problem("redirect_address")
    if done == LogOut.ASK:
        kept: dict[str, str] = {
            name: parameters[name] for name in ("client_id", "post_logout_redirect_uri", "state") if name in parameters
        }
        return _Led(f"/log-out?{urlencode(kept)}")
    state = {"state": parameters["state"]} if "state" in parameters else {}
    address = parameters.get("post_logout_redirect_uri")
    return _Led("/login" if address is None else add_params_to_uri(address, state))


def _problem(why: str) -> HttpResponse:
    return _Led(f"/log-in-problem?{urlencode({'why': why})}")

"""The addresses that OAuth's clients ask: tokens (RFC 6749, 7523, 8693), public keys, and what the server can (RFC 8414)."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote_plus

from django.conf import settings
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from ollamamax import logs
from ollamamax.identity import access_tokens
from ollamamax.identity.queries.signing_key import shown_signing_keys
from ollamamax.identity.roles import PERMISSIONS
from ollamamax.kernel.errors import Unavailable
from ollamamax.oauth.actions.exchange import exchange
from ollamamax.oauth.actions.token import (
    IssuedToken,
    OAuthRefused,
    issue_for_refresh_token,
    issue_for_secret,
    issue_for_workload,
)
from ollamamax.oauth.claims import CLAIMS, ID_TOKEN_ALGORITHMS, SCOPES, user_info_address
from ollamamax.oauth.grants import CODE, REFRESH
from ollamamax.oauth.queries.application import find_application

CREDENTIALS = "client_credentials"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a name
SUBJECT_TOKENS = frozenset({f"urn:ietf:params:oauth:token-type:{kind}" for kind in ("jwt", "id_token")})
_LONGEST = 64 << 10
_log = logs.get(__name__)


@csrf_exempt
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Whoever asks proves themselves by what they send: no session and no cookie counts."""
    try:
        kind = _one(request, "grant_type")
        if kind == CODE or (kind == REFRESH and find_application(_client(request)[0]) is not None):
            return _exchanged(request)
        return _answer(_issue(request), exchanged=request.POST.get("grant_type") == EXCHANGE)
    except OAuthRefused as error:
        status = 401 if error.error == "invalid_client" else 400
        answer = JsonResponse({"error": error.error, "error_description": error.description}, status=status)
        if status == 401:
            answer["WWW-Authenticate"] = 'Basic realm="OllamaMax"'
        return _unkept(answer)
    except (OperationalError, Unavailable) as error:
        _log.warning("token_not_issued", error=type(error).__name__)
        body = {"error": "temporarily_unavailable", "error_description": "Try again in a moment."}
        return _unkept(JsonResponse(body, status=503, headers={"Retry-After": "5"}))


def _issue(request: HttpRequest) -> IssuedToken:
    client, secret = _client(request)
    scope = frozenset(_one(request, "scope").split())
    if not scope <= PERMISSIONS:
        raise OAuthRefused("invalid_scope", "A scope is a name of a permission.")
    address = request.META.get("REMOTE_ADDR")
    kind = _one(request, "grant_type")
    if kind == CREDENTIALS:
        if not secret:
            raise OAuthRefused("invalid_client", "A client shows its identifier and its secret.")
        return issue_for_secret(client=client, secret=secret, scope=scope, address=address)
    if kind == REFRESH:
        return issue_for_refresh_token(
            client=client, token=_one(request, "refresh_token"), scope=scope, address=address
        )
    if kind == BEARER:
        return issue_for_workload(client=client, token=_one(request, "assertion"), scope=scope, address=address)
    if kind == EXCHANGE:
        if _one(request, "subject_token_type") not in SUBJECT_TOKENS:
            raise OAuthRefused("invalid_request", "The subject's token is a JSON Web Token.")
        if _one(request, "requested_token_type") not in {"", ACCESS_TOKEN} or "actor_token" in request.POST:
            raise OAuthRefused("invalid_request", "An access token is given for a subject's token alone.")
        return issue_for_workload(client=client, token=_one(request, "subject_token"), scope=scope, address=address)
    raise OAuthRefused("unsupported_grant_type", "There is no such grant.")


def _exchanged(request: HttpRequest) -> HttpResponse:
    """For an application, of the person who was let into it (OpenID Connect Core, section 3.1.3)."""
    client, secret = _client(request)
    found = exchange(
        client=client,
        secret=secret,
        parameters={name: _one(request, name) for name in request.POST if name != "client_secret"},
    )
    answer = JsonResponse(found.body, status=found.status)
    if found.status == 401:
        answer["WWW-Authenticate"] = 'Basic realm="OllamaMax"'
    return _unkept(answer)


def _client(request: HttpRequest) -> tuple[str, str]:
    """Identifier and secret, from a header or from the form and never from both (RFC 6749, section 2.3.1)."""
    header = request.headers.get("Authorization", "")
    client, secret = _one(request, "client_id"), _one(request, "client_secret")
    if not header:
        return client, secret
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic" or secret:
        raise OAuthRefused("invalid_request", "A client proves itself in one way.")
    try:
        name, _, word = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise OAuthRefused("invalid_client", "The header cannot be read.") from None
    if client not in {"", unquote_plus(name)}:
        raise OAuthRefused("invalid_request", "The header and the form name two clients.")
    return unquote_plus(name), unquote_plus(word)


def _one(request: HttpRequest, name: str) -> str:
    """A parameter that is there once, or empty. Raises `OAuthRefused`."""
    found = request.POST.getlist(name)
    if len(found) > 1 or (found and (len(found[0]) > _LONGEST or "\0" in found[0])):
        raise OAuthRefused("invalid_request", f"The parameter {name} is there twice, or too long.")
    return str(found[0]) if found else ""


def _answer(issued: IssuedToken, *, exchanged: bool) -> HttpResponse:
    body: dict[str, Any] = {
        "access_token": issued.text,
        "token_type": "Bearer",
        "expires_in": issued.seconds,
        "scope": " ".join(issued.scope),
    }
    if issued.refresh:
        body["refresh_token"] = issued.refresh
    if exchanged:
        body["issued_token_type"] = ACCESS_TOKEN
    return _unkept(JsonResponse(body))


def _unkept(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    answer["Pragma"] = "no-cache"
    return answer


@require_GET
def public_keys(request: HttpRequest) -> HttpResponse:
    """The JSON Web Key Set: those that sign now, and those whose tokens may still count."""
    keys = [access_tokens.public_jwk(public, kid) for kid, public in shown_signing_keys().items()]
    answer = JsonResponse({"keys": keys})
    answer["Cache-Control"] = "public, max-age=300"
    return answer


@require_GET
def metadata(request: HttpRequest) -> HttpResponse:
    """What the server can, as a server of OAuth (RFC 8414) and as an OpenID provider (OpenID Connect Discovery 1.0)."""
    base = settings.PUBLIC_URL.rstrip("/")
    answer = JsonResponse(
        {
            "issuer": base,
            "authorization_endpoint": f"{base}/oauth/authorize",
            "token_endpoint": f"{base}/oauth/token",
            "userinfo_endpoint": user_info_address(base),
            "end_session_endpoint": f"{base}/oauth/end-session",
            "jwks_uri": f"{base}/oauth/jwks",
            "grant_types_supported": [CODE, REFRESH, CREDENTIALS, BEARER, EXCHANGE],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(ID_TOKEN_ALGORITHMS),
            "scopes_supported": [*SCOPES, *sorted(PERMISSIONS)],
            "claims_supported": [*CLAIMS],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "authorization_response_iss_parameter_supported": True,
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
    )
    answer["Cache-Control"] = "public, max-age=300"
    return answer

"""The relying party of OpenID Connect: mozilla-django-oidc's code flow, for one provider of a tenant at a time.

The library makes the request (state, nonce, PKCE), keeps it in the session and leads from the code to the claims. It reads static
settings, checks neither audience nor issuer, fetches keys at each log-in, waits for ever, and knows users by their email address. So what it
asks for its settings is answered from the provider here, and every step that meets the network or a token is ours.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from django.conf import settings
from django.http import HttpRequest
from mozilla_django_oidc.auth import OIDCAuthenticationBackend
from mozilla_django_oidc.views import OIDCAuthenticationRequestView

from ollamamax.sso import discovery
from ollamamax.sso.claims import of_person
from ollamamax.sso.discovery import OpenIdProvider
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.tokens import TokenExpected, check_access_token, check_id_token, subject_of
from ollamamax.sso.vouched import Vouched

STATES = "oidc_states"
"""Where the library keeps what it asked for, by ``state``, in the session."""


@dataclass(frozen=True)
class OidcClient:
    """What we are to one provider. ``secret`` is empty for a public client."""

    provider: uuid.UUID
    issuer: str
    id: str
    secret: str
    scopes: tuple[str, ...]

    @property
    def callback(self) -> str:
        """One for each provider: a code that another one issued cannot be handed in here (RFC 9700, section 4.4.2)."""
        return f"{settings.PUBLIC_URL.rstrip('/')}/auth/oidc/{self.provider}/callback"


class _Answers:
    """The library's settings, of one client."""

    client: OidcClient
    document: OpenIdProvider

    def get_settings(self, attr: str, *args: Any) -> Any:
        known = {
            "OIDC_OP_AUTHORIZATION_ENDPOINT": self.document.authorization,
            "OIDC_OP_TOKEN_ENDPOINT": self.document.token,
            "OIDC_OP_USER_ENDPOINT": self.document.userinfo,
            "OIDC_OP_JWKS_ENDPOINT": self.document.keys,
            "OIDC_RP_CLIENT_ID": self.client.id,
            "OIDC_RP_CLIENT_SECRET": self.client.secret,
            "OIDC_RP_SCOPES": " ".join(self.client.scopes),
            "OIDC_RP_SIGN_ALGO": "RS256",  # asked for, and not used: `verify_token` decides
            "OIDC_USE_NONCE": True,
            "OIDC_USE_PKCE": True,
            "OIDC_STATE_SIZE": 43,
            "OIDC_NONCE_SIZE": 43,
            # An address that is there; `OidcClient.callback` takes its place.
            "OIDC_AUTHENTICATION_CALLBACK_URL": "console",
        }
        return known[attr] if attr in known else args[0]


class AuthorizationRequest(_Answers, OIDCAuthenticationRequestView):  # type: ignore[misc]  # the library has no types
    """Leads a browser to the provider."""

    def __init__(self, client: OidcClient, document: OpenIdProvider, hint: str = "") -> None:
        self.client, self.document, self._hint = client, document, hint
        super().__init__()

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        return {"redirect_uri": self.client.callback} | ({"login_hint": self._hint} if self._hint else {})

    def begin(self, request: HttpRequest, more: Mapping[str, Any]) -> str:
        """The address to go to. ``more`` is kept beside the state, and comes back with it."""
        found: str = self.get(request)["Location"]
        query = found[len(self.document.authorization) + 1 :]
        state = parse_qs(query)["state"][0]
        request.session[STATES][state] |= more
        request.session.modified = True
        separator = "&" if urlsplit(self.document.authorization).query else "?"
        return f"{self.document.authorization}{separator}{query}"


class RelyingParty(_Answers, OIDCAuthenticationBackend):  # type: ignore[misc]  # the library has no types
    """Leads from a code to whom the provider vouches for. No backend of Django's: no session is looked up by it."""

    def __init__(self, client: OidcClient, document: OpenIdProvider) -> None:
        self.client, self.document = client, document
        super().__init__()
        self._algorithm = ""

    def redeem(self, request: HttpRequest, *, nonce: str, code_verifier: str) -> Vouched:
        """Raises `SsoRefused`."""
        found: Vouched | None = self.authenticate(request, nonce=nonce, code_verifier=code_verifier)
        if found is None:
            raise SsoRefused(Why.BAD_ANSWER, "The provider sent no code.")
        return found

    def get_token(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Exchange the code; the client's secret goes the way that the provider asks for (RFC 6749, section 2.3.1)."""
        form = payload | {"redirect_uri": self.client.callback}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if not self.client.secret:
            del form["client_secret"]
        elif self.document.basic:
            del form["client_secret"], form["client_id"]
            pair = f"{quote(self.client.id, safe='')}:{quote(self.client.secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        answer = discovery.ask("POST", self.document.token, headers=headers, body=urlencode(form).encode())
        found = discovery.object_of(answer)
        if answer.status != 200:
            raise SsoRefused(Why.CODE_REFUSED, f"The code was answered with {answer.status}.", said=found.get("error"))
        return found

    def verify_token(self, token: Any, **kwargs: Any) -> dict[str, Any]:
        self._algorithm, claims = discovery.verified_claims(self.document, token)
        check_id_token(
            claims, TokenExpected(self.client.issuer, self.client.id), nonce=kwargs.get("nonce") or "", now=time.time()
        )
        return claims

    def get_userinfo(self, access_token: Any, id_token: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """What the provider says besides the ID token, of the same person; nothing where it has no such address."""
        if not self.document.userinfo or not isinstance(access_token, str):
            return {}
        if any(not 32 < ord(character) < 127 for character in access_token):
            raise SsoRefused(Why.BAD_ANSWER, "The provider's access token cannot be sent.")
        check_access_token(payload, self._algorithm, access_token)
        answer = discovery.ask("GET", self.document.userinfo, headers={"Authorization": f"Bearer {access_token}"})
        if answer.status != 200:
            raise SsoRefused(Why.BAD_ANSWER, f"The claims were answered with {answer.status}.")
        found = discovery.object_of(answer)
        if found.get("sub") != payload["sub"]:
            raise SsoRefused(Why.BAD_ANSWER, "The provider told claims of somebody else.")
        return found

    def get_or_create_user(self, access_token: Any, id_token: str, payload: Mapping[str, Any]) -> Vouched:
        """Not a user yet: an action finds or makes that, by provider and subject, in its own transaction."""
        claims = of_person(self.get_userinfo(access_token, id_token, payload)) | of_person(payload)
        sid = payload.get("sid", "")
        return Vouched(subject_of(payload), claims, sid if isinstance(sid, str) and len(sid) <= 255 else "", id_token)

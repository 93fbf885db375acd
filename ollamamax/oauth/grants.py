"""What of the OpenID provider has our tables behind it: applications, codes, refresh tokens and ID tokens, as Authlib asks for them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError, TokenMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin
from authlib.oidc.core.grants import OpenIDCode, OpenIDToken
from joserfc.jwk import ECKey, RSAKey

from ollamamax.identity.access_tokens import SECONDS
from ollamamax.identity.models import UserSession
from ollamamax.kernel.principal import Principal
from ollamamax.oauth.actions.family import begin_family, keep_code, next_refresh_token, take_code, take_refresh_token
from ollamamax.oauth.claims import claims_of, make_user_token
from ollamamax.oauth.models import Application, AuthorizationCode, RefreshToken, TokenFamily
from ollamamax.oauth.queries.standing import Standing, standing_in_session

CODE, REFRESH = "authorization_code", "refresh_token"
_OFFLINE = "offline_access"
_MOST_NONCE = 500


class PrivateKey(NamedTuple):
    """``pem`` is the private half of a signing key."""

    pem: str
    kid: str
    algorithm: str


class Signing(NamedTuple):
    """What signs access tokens, and what ID tokens as the application wants them; ``issuer`` is what we are called."""

    access: PrivateKey
    id_token: PrivateKey
    issuer: str


class ApplicationClient(ClientMixin):  # type: ignore[misc]
    """An application, as Authlib asks for it."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def get_client_id(self) -> str:
        return str(self.application.pk)

    def get_default_redirect_uri(self) -> None:
        """Each request names its address (OpenID Connect Core, section 3.1.2.1)."""

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(dict.fromkeys((scope or "").split()))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.application.redirect_uris

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {CODE, REFRESH}


class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    code_challenge_method = "S256"

    def __init__(self, row: AuthorizationCode) -> None:
        self.row, self.code_challenge = row, row.challenge

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return self.row.scope

    def get_nonce(self) -> str:
        return self.row.nonce

    def get_auth_time(self) -> int:
        return int(self.row.auth_time.timestamp())


class Refresh(TokenMixin):  # type: ignore[misc]
    def __init__(self, row: RefreshToken) -> None:
        self.row = row

    def check_client(self, client: ApplicationClient) -> bool:
        return self.row.family.application_id == client.application.pk

    def get_scope(self) -> str:
        return self.row.family.scope


class ProviderRequest(OAuth2Request):  # type: ignore[misc]
    """One request, of which each parameter was there once. ``secret`` is what a client shows; ``signing`` is there where tokens are asked for, and
    ``person``, ``session``, ``auth_time`` and ``acting`` where a browser came."""

    signing: Signing
    person: Standing
    session: UserSession
    auth_time: float
    acting: Principal
    family: TokenFamily

    def __init__(self, method: str, application: Application, parameters: Mapping[str, str], secret: str = "") -> None:
        # Whether plain HTTP is taken is decided before, for all of the product (`ollamamax.identity.api.encrypted`).
        super().__init__(method, "https://localhost/")
        self.application, self.parameters, self.secret = application, dict(parameters), secret
        self.payload = BasicOAuth2Payload(self.parameters)

    @property
    def form(self) -> dict[str, str]:
        return self.parameters

    @property
    def args(self) -> dict[str, str]:
        return self.parameters


class _Issuing:
    """Makes the tokens of a family."""

    request: ProviderRequest

    def _issued(self, family: TokenFamily, user: Standing, scope: str, after: RefreshToken | None) -> dict[str, Any]:
        signing = self.request.signing
        token: dict[str, Any] = {
            "token_type": "Bearer",
            "access_token": make_user_token(
                signing.access.pem,
                signing.access.kid,
                issuer=signing.issuer,
                subject=user.user.pk,
                client=str(self.request.application.pk),
                family=family.pk,
                scope=scope,
                now=time.time(),
            ),
            "expires_in": SECONDS,
            "scope": scope,
        }
        if after is not None or _OFFLINE in scope.split():
            token["refresh_token"] = next_refresh_token(family, after=after)
        self.request.family = family
        return token


class CodeGrant(_Issuing, AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "none"]

    def generate_authorization_code(self) -> str:
        """The action makes it."""
        asked: ProviderRequest = self.request
        return keep_code(
            by=asked.acting,
            application=asked.application,
            standing=asked.person,
            session=asked.session,
            auth_time=asked.auth_time,
            redirect_uri=asked.payload.redirect_uri,
            scope=asked.scope,
            nonce=asked.parameters.get("nonce", ""),
            challenge=asked.parameters["code_challenge"],
        )

    def save_authorization_code(self, code: str, request: ProviderRequest) -> None:
        """It is kept since it was made."""

    def query_authorization_code(self, code: str, client: ApplicationClient) -> Code | None:
        found = take_code(client.application, code)
        return None if found is None else Code(found)

    def authenticate_user(self, authorization_code: Code) -> Standing | None:
        row = authorization_code.row
        return standing_in_session(self.request.application, row.user_id, row.session_id)

    def generate_token(self, user: Standing, scope: str, **_: Any) -> dict[str, Any]:
        return self._issued(begin_family(self.request.authorization_code.row), user, scope, None)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It is kept, so that it is noticed when it is shown again."""


class RefreshGrant(_Issuing, RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = CodeGrant.TOKEN_ENDPOINT_AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True
    _person: Standing | None = None

    def authenticate_refresh_token(self, refresh_token: str) -> Refresh | None:
        row = take_refresh_token(refresh_token, application=self.request.application)
        if row is None or row.family.user_id is None or row.family.session_id is None:
            return None
        self._person = standing_in_session(self.request.application, row.family.user_id, row.family.session_id)
        return None if self._person is None else Refresh(row)

    def authenticate_user(self, refresh_token: Refresh) -> Standing | None:
        return self._person

    def generate_token(self, user: Standing, scope: str, **_: Any) -> dict[str, Any]:
        row = self.request.refresh_token.row
        return self._issued(row.family, user, scope, row)

    def revoke_old_credential(self, refresh_token: Refresh) -> None:
        """It was used when the next one was made."""


class Challenge(CodeChallenge):  # type: ignore[misc]
    """PKCE by S256, of applications with a secret too."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        given = grant.request.parameters
        if not given.get("code_challenge") or given.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE is needed: a 'code_challenge' whose 'code_challenge_method' is S256.")
        super().validate_code_challenge(grant, redirect_uri)


class IdToken(OpenIDToken):  # type: ignore[misc]
    """What ID tokens say, and who signs them."""

    _signing: Signing

    def resolve_client_private_key(self, client: ApplicationClient) -> ECKey | RSAKey:
        kind = RSAKey if self._signing.id_token.algorithm == "RS256" else ECKey
        return kind.import_key(self._signing.id_token.pem)

    def get_client_algorithm(self, client: ApplicationClient) -> str:
        return self._signing.id_token.algorithm

    def get_encode_header(self, client: ApplicationClient) -> dict[str, str]:
        return {"alg": self._signing.id_token.algorithm, "kid": self._signing.id_token.kid, "typ": "JWT"}

    def get_compatible_claims(self, request: ProviderRequest) -> dict[str, Any]:
        now, family = int(time.time()), request.family
        claims: dict[str, Any] = {
            "iss": request.signing.issuer,
            "aud": str(request.application.pk),
            "iat": now,
            "exp": now + SECONDS,
            "sid": family.pk.hex,
        }
        if family.auth_time is not None:
            claims["auth_time"] = int(family.auth_time.timestamp())
        return claims

    def generate_user_info(self, user: Standing, scope: str) -> dict[str, Any]:
        return claims_told(user, scope)

    def __call__(self, grant: Any) -> None:
        if hasattr(grant.request, "signing"):
            self._signing = grant.request.signing
        super().__call__(grant)


class CodeIdToken(IdToken, OpenIDCode):  # type: ignore[misc]
    def exists_nonce(self, nonce: str, request: ProviderRequest) -> bool:
        """A nonce is the client's, which looks whether the answer has that of its session; here it is bounded alone."""
        if len(nonce) > _MOST_NONCE:
            raise InvalidRequestError("The nonce is too long.")
        return False


def claims_told(person: Standing, scope: str) -> dict[str, Any]:
    return claims_of(
        subject=person.user.pk,
        email=person.user.email,
        name=person.user.name,
        tenant=person.place.slug,
        role=person.place.role,
        teams=person.teams,
        scope=scope,
    )

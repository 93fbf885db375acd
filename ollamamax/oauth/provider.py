"""The OpenID provider: Authlib's authorization server with our tables behind it, and no more of it than is needed.

What is registered is the authorization code flow with PKCE by S256, for every application, and refresh tokens that count once: no implicit flow, no
passwords, no registration by strangers. The order of the checks, the errors and their forms are Authlib's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from authlib.oauth2 import AuthorizationServer, OAuth2Error
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, InvalidScopeError

from ollamamax.identity.keys import matches
from ollamamax.identity.models import UserSession
from ollamamax.kernel.principal import Principal
from ollamamax.oauth.claims import SCOPES
from ollamamax.oauth.grants import (
    ApplicationClient,
    Challenge,
    CodeGrant,
    CodeIdToken,
    IdToken,
    ProviderRequest,
    RefreshGrant,
)
from ollamamax.oauth.queries.standing import Standing


class ProviderResponse(NamedTuple):
    status: int
    body: Any
    headers: list[tuple[str, str]]


class _Server(AuthorizationServer):  # type: ignore[misc]
    """Of one request."""

    def __init__(self, asked: ProviderRequest) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        self._client = ApplicationClient(asked.application)
        self.register_grant(CodeGrant, [Challenge(required=True), CodeIdToken()])
        self.register_grant(RefreshGrant, [IdToken()])

    def query_client(self, client_id: str) -> ApplicationClient | None:
        """The application whose request it is, which was found before."""
        return self._client if client_id == self._client.get_client_id() else None

    def authenticate_client(
        self, request: ProviderRequest, methods: list[str], endpoint: str = "token"
    ) -> ApplicationClient:
        """An application with a secret shows it, in one way or the other; a public one shows none."""
        known, shown = request.application.secret_hash, request.secret
        if not (matches(shown, known) if known else shown == ""):
            raise InvalidClientError("The application is unknown, or its secret is wrong.", status_code=401)
        request.auth_method = "client_secret_basic" if known else "none"
        return self._client

    def validate_requested_scope(self, scope: str | None) -> None:
        if "openid" not in (scope or "").split():
            raise InvalidScopeError("The scope 'openid' is needed.")
        super().validate_requested_scope(scope)

    def create_oauth2_request(self, request: ProviderRequest) -> ProviderRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> ProviderResponse:
        return ProviderResponse(status, body, headers)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def save_token(self, token: dict[str, Any], request: ProviderRequest) -> None:
        """What is kept of it was kept when it was made."""


class Authorization:
    """A request that a browser brings from an application. What is wrong with it is in ``refused``, which leads back there; ``None`` where nothing is.

    ``prompt`` has the words of the request's.
    """

    def __init__(self, asked: ProviderRequest) -> None:
        self._asked, self._server = asked, _Server(asked)
        self._grant: Any = None
        self.prompt = frozenset(asked.parameters.get("prompt", "").split())
        self.refused: ProviderResponse | None = None
        if (kind := asked.parameters.get("response_type")) != "code":
            self.refused = self.refusal("invalid_request" if kind is None else "unsupported_response_type")
            return
        try:
            # Whether somebody is there is looked at after this, and not by Authlib, which knows no tenants.
            self._grant = self._server.get_consent_grant(asked, end_user=True)
            self._check_the_rest()
        except OAuth2Error as error:
            self.refused = self.refusal(str(error.error), str(error.description or ""))

    def _check_the_rest(self) -> None:
        given = self._asked.parameters
        for name in ("request", "request_uri"):
            if name in given:
                raise OAuth2Error("Requests are made by plain parameters.", error=f"{name}_not_supported")
        if given.get("response_mode", "query") != "query":
            raise InvalidRequestError("The answer is in the query.")
        age = given.get("max_age")
        if age is not None and not (age.isascii() and age.isdigit() and len(age) < 10):
            raise InvalidRequestError("The max_age is a number of seconds.")
        if "none" in self.prompt and len(self.prompt) > 1:
            raise InvalidRequestError("The prompt 'none' stands alone.")

    def refusal(self, error: str, description: str = "") -> ProviderResponse:
        """Back to the application with a code of RFC 6749, section 4.1.2.1, or of OpenID Connect Core, section 3.1.2.6."""
        redirect_uri, state = self._asked.parameters["redirect_uri"], self._asked.parameters.get("state")
        made = OAuth2Error(description, state=state, redirect_uri=redirect_uri, error=error)
        return ProviderResponse(*made())

    def grant(self, *, person: Standing, session: UserSession, auth_time: float, acting: Principal) -> ProviderResponse:
        """In a transaction: back to the application with a code."""
        asked = self._asked
        asked.person, asked.session, asked.auth_time, asked.acting = person, session, auth_time, acting
        answer: ProviderResponse = self._server.create_authorization_response(
            asked, grant_user=person, grant=self._grant
        )
        return answer


def exchanged(asked: ProviderRequest) -> ProviderResponse:
    """In a transaction, which must be committed whatever comes of it: what a code or a refresh token is good for."""
    answer: ProviderResponse = _Server(asked).create_token_response(asked)
    return answer

"""Gives applications tokens for codes and refresh tokens, and tells them who somebody is: both as long as that person may use them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from ollamamax.identity.actions.signing_key import ensure_signing_key, private_half
from ollamamax.identity.models import SigningKey
from ollamamax.identity.queries.signing_key import public_key_of
from ollamamax.identity.scope import tenant_scope
from ollamamax.oauth.actions.token import OAuthRefused
from ollamamax.oauth.claims import read_user_token
from ollamamax.oauth.grants import PrivateKey, ProviderRequest, Signing, claims_told
from ollamamax.oauth.provider import ProviderResponse, exchanged
from ollamamax.oauth.queries.application import find_application
from ollamamax.oauth.queries.family import find_family
from ollamamax.oauth.queries.standing import standing_in_session


def exchange(*, client: str, secret: str, parameters: Mapping[str, str]) -> ProviderResponse:
    """``parameters`` of the form, each once. Raises `OAuthRefused` for an application that nobody knows."""
    application = find_application(client)
    if application is None:
        raise OAuthRefused("invalid_client", "The application is unknown, or its secret is wrong.")
    access = _private(ensure_signing_key())
    wanted = application.id_token_signed_response_alg
    id_token = access if wanted == access.algorithm else _private(ensure_signing_key(wanted))
    asked = ProviderRequest("POST", application, {**parameters, "client_id": client}, secret)
    asked.signing = Signing(access, id_token, issuer())
    with tenant_scope(application.tenant_id), transaction.atomic(durable=True):
        # A refusal may have revoked something: it is committed too.
        return exchanged(asked)


def _private(key: SigningKey) -> PrivateKey:
    return PrivateKey(private_half(key), key.kid, key.algorithm)


def claims_for(token: str) -> dict[str, Any] | None:
    """What the bearer of an access token is told of its person now; ``None`` where it does not count any more."""
    said = read_user_token(token, public_key_of, issuer=issuer())
    family = None if said is None else find_family(said.family)
    if said is None or family is None or family.user_id != said.subject or family.session_id is None:
        return None
    application = find_application(str(family.application_id))
    if application is None:
        return None
    person = standing_in_session(application, family.user_id, family.session_id)
    return None if person is None else claims_told(person, said.scope)


def issuer() -> str:
    found: str = settings.PUBLIC_URL.rstrip("/")
    return found

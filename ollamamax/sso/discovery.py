"""What an OpenID provider says of itself: its addresses and keys, fetched by the outbound client, checked, and kept for some minutes.

Keys are fetched anew when a token names one that is not known: once for a log-in, and for what anybody can
send only as often as `REFETCH_SECONDS` lets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from asgiref.sync import async_to_sync
from django.conf import settings

from ollamamax.contract.from_client import decode
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.outbound.addresses import OutboundRefused, checked_url, origin_of
from ollamamax.outbound.client import OutboundAnswer, OutboundFailed, send
from ollamamax.sso.kept_answers import KeptAnswers, Places
from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.tokens import ALGORITHMS, Keys, fitting_key, header_of, signed_claims

REFETCH_SECONDS = 30.0
SECONDS = 8.0
"""For one answer of a provider."""
MOST_ANSWER = 256 << 10
MOST_KEYS = 200
_asking = Places(most=48, most_of_one=8, most_unproven=16)
"""Requests under way at once, by origin. Each has a thread."""
_waiting = Places(most=200, most_of_one=64, most_unproven=100)
"""Who waits for what another one asked for."""
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


@dataclass(frozen=True)
class OpenIdProvider:
    """The part of a discovery document (OpenID Connect Discovery 1.0, section 3) that is used; ``""`` for an address that it lacks."""

    issuer: str
    authorization: str
    token: str
    userinfo: str
    keys: str
    end_session: str
    algorithms: frozenset[str]
    basic: bool
    """Whether a client's secret goes into a header, and not into the body."""
    names_itself: bool
    """Whether its answers at the callback say of whom they are (RFC 9207)."""


def provider_of(issuer: str) -> OpenIdProvider:
    """Raises `SsoRefused`."""
    return _providers.value(issuer, lambda: _read_document(issuer))


def verified_claims(provider: OpenIdProvider, token: Any, *, from_anybody: bool = False) -> tuple[str, dict[str, Any]]:
    """The algorithm and the claims of a token that a key of the provider signed. Raises `SsoRefused`.

    ``from_anybody``: it came from an address that everybody may send to, whose senders do not decide how often keys are fetched.
    """
    header = header_of(token)
    if header["alg"] not in provider.algorithms:
        raise SsoRefused(Why.ALGORITHM, f"The provider does not sign by {header['alg']}, as it says.")
    key = fitting_key(header, _keys.value(provider.keys, lambda: _read_keys(provider.keys)))
    if key is None:
        least = REFETCH_SECONDS if from_anybody else 0.0
        key = fitting_key(header, _keys.value(provider.keys, lambda: _read_keys(provider.keys), older=least))
    if key is None:
        raise SsoRefused(Why.UNKNOWN_KEY, "The provider has no key that could have signed the token.")
    return str(header["alg"]), signed_claims(token, header, key)


def claims_by_issuer(issuer: str, token: Any) -> dict[str, Any]:
    """The claims of a token that a key of the issuer signed, which anybody may have sent. Of the issuer no more is needed than where its keys
    are: a CI or a cluster logs nobody in. Raises `SsoRefused`."""
    header = header_of(token)
    address = _addresses_of_keys.value(issuer, lambda: _read_address_of_keys(issuer))
    key = fitting_key(header, _keys.value(address, lambda: _read_keys(address)))
    if key is None:
        key = fitting_key(header, _keys.value(address, lambda: _read_keys(address), older=REFETCH_SECONDS))
    if key is None:
        raise SsoRefused(Why.UNKNOWN_KEY, "The issuer has no key that could have signed the token.")
    return signed_claims(token, header, key)


def _read_address_of_keys(issuer: str) -> str:
    answer = ask("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
    found = object_of(answer, Why.BAD_DISCOVERY) if answer.status == 200 else {}
    if found.get("issuer") != issuer:
        raise SsoRefused(Why.WRONG_ISSUER, f"The issuer calls itself {str(found.get('issuer'))[:200]!r}.")
    address = found.get("jwks_uri")
    if not isinstance(address, str):
        raise SsoRefused(Why.BAD_DISCOVERY, "The issuer's configuration lacks jwks_uri.")
    return address


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    most: int = MOST_ANSWER,
) -> OutboundAnswer:
    """One request to an address that a tenant or its provider named. Raises `SsoRefused`."""
    try:
        checked_url(url, settings.OUTBOUND_RULES)
        with _asking.one(origin_of(url)):
            return async_to_sync(send)(
                method,
                url,
                rules=settings.OUTBOUND_RULES,
                headers={"Accept": "application/json"} | dict(headers or {}),
                body=body,
                seconds=SECONDS,
                most_answer=most,
            )
    except OutboundRefused as error:
        raise SsoRefused(Why.ADDRESS_REFUSED, str(error)) from error
    except OutboundFailed as error:
        raise SsoRefused(Why.UNREACHABLE, str(error)) from error


def object_of(answer: OutboundAnswer, why: Why = Why.BAD_ANSWER) -> dict[str, Any]:
    """The JSON object of an answer, within bounds. Raises `SsoRefused`."""
    try:
        found = decode(_anything, answer.body)
    except InvalidRequest as error:
        raise SsoRefused(why, "The provider's answer is no JSON that can be kept.") from error
    if not isinstance(found, dict):
        raise SsoRefused(why, "The provider's answer is no JSON object.")
    return found


def forget(issuer: str) -> None:
    """What is kept of a provider, which may have another address or other keys now."""
    kept = _providers.drop(issuer)
    if kept is not None:
        _keys.drop(kept.keys)


def _read_document(issuer: str) -> OpenIdProvider:
    answer = ask("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
    if answer.status != 200:
        raise SsoRefused(Why.BAD_DISCOVERY, f"The provider's configuration was answered with {answer.status}.")
    return read_document(object_of(answer, Why.BAD_DISCOVERY), issuer)


def read_document(found: Mapping[str, Any], issuer: str) -> OpenIdProvider:
    """Of the configuration that an issuer shows. Raises `SsoRefused`."""
    if found.get("issuer") != issuer:
        raise SsoRefused(Why.WRONG_ISSUER, f"The provider calls itself {str(found.get('issuer'))[:200]!r}.")

    def address(name: str, *, needed: bool = False) -> str:
        value = found.get(name, "")
        if not isinstance(value, str) or (needed and not value):
            raise SsoRefused(Why.BAD_DISCOVERY, f"The provider's configuration lacks {name}.")
        if value:
            try:
                checked_url(value, settings.OUTBOUND_RULES)
            except OutboundRefused as error:
                raise SsoRefused(Why.ADDRESS_REFUSED, f"{name}: {error}") from error
        return value

    def texts(name: str, default: list[str]) -> list[str]:
        value = found.get(name, default)
        if not isinstance(value, list):
            raise SsoRefused(Why.BAD_DISCOVERY, f"The provider's {name} is no list.")
        return [each for each in value if isinstance(each, str)]

    if "code" not in texts("response_types_supported", ["code"]):
        raise SsoRefused(Why.BAD_DISCOVERY, "The provider knows no authorisation code.")
    methods = texts("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return OpenIdProvider(
        issuer=issuer,
        authorization=address("authorization_endpoint", needed=True),
        token=address("token_endpoint", needed=True),
        userinfo=address("userinfo_endpoint"),
        keys=address("jwks_uri", needed=True),
        end_session=address("end_session_endpoint"),
        algorithms=ALGORITHMS.intersection(texts("id_token_signing_alg_values_supported", ["RS256"])),
        basic="client_secret_basic" in methods or "client_secret_post" not in methods,
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
    )


def _read_keys(url: str) -> Keys:
    answer = ask("GET", url)
    found = object_of(answer).get("keys") if answer.status == 200 else None
    if not isinstance(found, list) or len(found) > MOST_KEYS:
        raise SsoRefused(Why.BAD_ANSWER, "The provider shows no keys.")
    return [each for each in found if isinstance(each, dict)]


_providers: KeptAnswers[OpenIdProvider] = KeptAnswers(_waiting)
_keys: KeptAnswers[Keys] = KeptAnswers(_waiting)
_addresses_of_keys: KeptAnswers[str] = KeptAnswers(_waiting)

"""What of a token is checked, on tokens that differ from a good one in one thing, and on what is no token at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.sso.refusals import SsoRefused, Why
from ollamamax.sso.tokens import (
    ALGORITHMS,
    LEEWAY,
    LOG_OUT_EVENT,
    TokenExpected,
    check_access_token,
    check_id_token,
    check_log_out_token,
    fitting_key,
    header_of,
    signed_claims,
)
from tests.sso.provider import KEY, OTHER_KEY, public, signed

NOW = 1_800_000_000.0
EXPECTED = TokenExpected("https://id.example", "ollamamax")
GOOD: dict[str, Any] = {
    "iss": "https://id.example", "aud": "ollamamax", "sub": "ada", "iat": NOW, "exp": NOW + 300, "nonce": "n-1",
}  # fmt: skip
LOG_OUT: dict[str, Any] = {
    "iss": "https://id.example", "aud": ["ollamamax"], "sub": "ada", "iat": NOW, "jti": "j-1", "events": {LOG_OUT_EVENT: {}},
}  # fmt: skip


def verified(token: str, keys: list[dict[str, Any]]) -> Mapping[str, Any]:
    header = header_of(token)
    key = fitting_key(header, keys)
    if key is None:
        raise SsoRefused(Why.UNKNOWN_KEY)
    return signed_claims(token, header, key)


def why_of(token: Any, keys: list[dict[str, Any]]) -> Why:
    with pytest.raises(SsoRefused) as refused:
        verified(token, keys)
    return refused.value.why


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_what_a_key_of_the_provider_signed_is_read() -> None:
    assert verified(signed(GOOD), [public(KEY)]) == GOOD
    # Without a name only where one key alone could have signed it.
    assert verified(signed(GOOD, kid=None), [public(KEY)]) == GOOD
    assert why_of(signed(GOOD, kid=None), [public(KEY), public(OTHER_KEY, "two")]) == Why.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
        ("ES384", ec.generate_private_key(ec.SECP384R1())),
        ("EdDSA", ed25519.Ed25519PrivateKey.generate()),
        ("PS256", KEY),
    ],
    ids=["ES256", "ES384", "EdDSA", "PS256"],
)
def test_each_kind_of_public_key_is_known(algorithm: str, key: Any) -> None:
    made = jwt.algorithms.get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    assert isinstance(made, dict)
    token = jwt.encode(GOOD, key, algorithm, headers={"kid": "k"})
    assert verified(token, [made | {"kid": "k"}]) == GOOD


def test_no_signature_and_no_shared_secret_is_taken_whatever_the_token_says() -> None:
    pem = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for algorithm in ("none", "None", "NONE", "HS256", "HS512", "", None, 1, "RS256 ", "dir"):
        text = f"{part({'alg': algorithm, 'kid': 'one'})}.{part(GOOD)}"
        mac = base64.urlsafe_b64encode(hmac.digest(pem, text.encode(), hashlib.sha256)).rstrip(b"=").decode()
        for signature in ("", mac):
            assert why_of(f"{text}.{signature}", [public(KEY)]) in {Why.ALGORITHM, Why.BAD_TOKEN}
    assert not ALGORITHMS & {"none", "HS256", "HS384", "HS512"}


def test_a_key_signs_by_the_algorithms_of_its_own_kind_alone() -> None:
    token = signed(GOOD)
    for key in (
        public(KEY, use="enc"),
        public(KEY, alg="RS512"),
        public(KEY, kty="EC"),
        public(KEY, kty="oct", k=part("secret")),
        public(KEY, "two"),
    ):
        assert why_of(token, [key]) == Why.UNKNOWN_KEY
    assert why_of(token, [public(OTHER_KEY)]) == Why.BAD_SIGNATURE
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with warnings.catch_warnings(action="ignore"):
        assert why_of(signed(GOOD, small), [public(small)]) == Why.UNKNOWN_KEY


@given(
    st.one_of(st.text(max_size=200), st.binary(max_size=200), st.none(), st.integers(), st.lists(st.text(max_size=5)))
)
def test_what_is_no_token_is_refused_and_breaks_nothing(token: Any) -> None:
    assert why_of(token, [public(KEY)]) in {Why.BAD_TOKEN, Why.ALGORITHM}


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.text(max_size=8), max_size=3)
)
_HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk"]), st.one_of(_VALUES, st.just("RS256"))
)
_KEYS = st.lists(
    st.dictionaries(
        st.sampled_from(["kty", "kid", "n", "e", "crv", "x", "y", "use", "alg"]), st.one_of(_VALUES, st.just("RSA"))
    ),
    max_size=3,
)


@given(_HEADERS, _VALUES, _KEYS)
def test_headers_and_keys_of_any_form_are_refused_and_break_nothing(header: Any, claims: Any, keys: Any) -> None:
    token = f"{part(header)}.{part(claims)}.{part('x')}"
    for some in (keys, [*keys, public(KEY, "a")], [public(KEY)]):
        assert why_of(token, some) in {Why.BAD_TOKEN, Why.ALGORITHM, Why.UNKNOWN_KEY, Why.BAD_SIGNATURE}


def test_a_good_id_token_is_taken_within_the_leeway() -> None:
    for more in ({}, {"aud": ["ollamamax"]}, {"aud": ["ollamamax", "other"], "azp": "ollamamax"}, {"azp": "ollamamax"}):
        check_id_token(GOOD | more, EXPECTED, nonce="n-1", now=NOW)
    check_id_token(GOOD, EXPECTED, nonce="n-1", now=NOW - LEEWAY)
    check_id_token(GOOD, EXPECTED, nonce="n-1", now=NOW + 300 + LEEWAY - 1)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"iss": "https://id.example/"}, Why.WRONG_ISSUER),
        ({"iss": "https://other.example"}, Why.WRONG_ISSUER),
        ({"iss": None}, Why.WRONG_ISSUER),
        ({"iss": ["https://id.example"]}, Why.WRONG_ISSUER),
        ({"aud": "other"}, Why.WRONG_AUDIENCE),
        ({"aud": []}, Why.WRONG_AUDIENCE),
        ({"aud": None}, Why.WRONG_AUDIENCE),
        ({"aud": {"ollamamax": 1}}, Why.WRONG_AUDIENCE),
        ({"aud": ["ollamamax", "other"]}, Why.WRONG_AUDIENCE),
        ({"azp": "other"}, Why.WRONG_AUDIENCE),
        ({"aud": ["ollamamax", "other"], "azp": "other"}, Why.WRONG_AUDIENCE),
        ({"exp": NOW - LEEWAY}, Why.EXPIRED),
        ({"exp": None}, Why.BAD_TOKEN),
        ({"exp": "tomorrow"}, Why.BAD_TOKEN),
        ({"exp": True}, Why.BAD_TOKEN),
        ({"exp": float("inf")}, Why.BAD_TOKEN),
        ({"iat": NOW + LEEWAY + 1}, Why.NOT_YET),
        ({"nbf": NOW + LEEWAY + 1}, Why.NOT_YET),
        ({"nonce": "n-2"}, Why.WRONG_NONCE),
        ({"nonce": None}, Why.WRONG_NONCE),
        ({"nonce": ["n-1"]}, Why.WRONG_NONCE),
        ({"sub": None}, Why.BAD_TOKEN),
        ({"sub": ""}, Why.BAD_TOKEN),
        ({"sub": 7}, Why.BAD_TOKEN),
        ({"sub": "a" * 256}, Why.BAD_TOKEN),
        ({"sub": "a\0"}, Why.BAD_TOKEN),
    ],
    ids=str,
)
def test_an_id_token_that_is_wrong_in_one_thing_is_refused(changed: dict[str, Any], why: Why) -> None:
    with pytest.raises(SsoRefused) as refused:
        check_id_token(GOOD | changed, EXPECTED, nonce="n-1", now=NOW)
    assert refused.value.why == why


@given(st.dictionaries(st.sampled_from([*GOOD, "azp", "nbf"]), _VALUES, min_size=1))
def test_claims_of_any_form_are_taken_or_refused(changed: dict[str, Any]) -> None:
    try:
        check_id_token(GOOD | changed, EXPECTED, nonce="n-1", now=NOW)
    except SsoRefused:
        return
    held = GOOD | changed
    assert held["iss"] == EXPECTED.issuer
    assert EXPECTED.audience in ([held["aud"]] if isinstance(held["aud"], str) else held["aud"])
    assert held["nonce"] == "n-1"
    assert held["exp"] > NOW - LEEWAY


def test_without_a_nonce_of_our_own_no_token_is_taken() -> None:
    with pytest.raises(SsoRefused):
        check_id_token(GOOD | {"nonce": ""}, EXPECTED, nonce="", now=NOW)


def test_a_log_out_token_names_whose_sessions_end() -> None:
    assert check_log_out_token(LOG_OUT, EXPECTED, now=NOW) == ("ada", "", "j-1")
    assert check_log_out_token(LOG_OUT | {"sid": "s", "sub": ""}, EXPECTED, now=NOW) == ("", "s", "j-1")


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "n-1"},  # an ID token is no logout token
        {"events": {}},
        {"events": {LOG_OUT_EVENT: None}},
        {"events": [LOG_OUT_EVENT]},
        {"events": None},
        {"jti": None},
        {"jti": ""},
        {"sub": None},
        {"sub": ""},
        {"sid": 7},
        {"iat": None},
        {"iat": NOW - 1000},
        {"iat": NOW + 1000},
        {"exp": NOW - 1000},
        {"aud": "other"},
        {"iss": "https://other.example"},
    ],
    ids=str,
)
def test_what_is_no_log_out_token_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SsoRefused):
        check_log_out_token(LOG_OUT | changed, EXPECTED, now=NOW)


def test_an_access_token_of_another_id_token_is_refused() -> None:
    digest = hashlib.sha256(b"access").digest()[:16]
    claims = {"at_hash": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
    check_access_token(claims, "RS256", "access")
    check_access_token({}, "RS256", "other")
    for wrong in (claims, {"at_hash": 7}, {"at_hash": ""}):
        with pytest.raises(SsoRefused):
            check_access_token(wrong, "RS256", "other")

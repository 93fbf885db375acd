"""Checks the tokens of an identity provider: signature, issuer, audience, times, nonce (OpenID Connect Core 3.1.3.7). Pure.

A token is signed with a key of the provider by an algorithm of public keys. ``none`` and HMAC are no such algorithms, whatever a token or a
provider says, and a key is used with the algorithms of its own type alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from ollamamax.sso.refusals import SsoRefused, Why

LEEWAY = 60.0
"""Seconds by which clocks may differ."""
MOST_TOKEN = 48 << 10
MOST_SUBJECT = 255
LEAST_RSA_BITS = 2048
LOG_OUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOG_OUT_SECONDS = 600.0
"""How old a logout token may be."""
_MOST_TIME = 1e12
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ALGORITHMS = frozenset({f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)} | {"EdDSA"})

_SIGNATURE_ALONE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
"""What a token says is checked here, and told apart by what is against it."""

Keys = Sequence[Mapping[str, Any]]
"""The ``keys`` of a JSON Web Key Set."""


@dataclass(frozen=True)
class TokenExpected:
    """Of whom a token must be, and for whom."""

    issuer: str
    audience: str


def header_of(token: Any) -> Mapping[str, Any]:
    """The header, of which nothing is checked but that it names an algorithm of public keys. Raises `SsoRefused`."""
    if not isinstance(token, str) or not token or len(token) > MOST_TOKEN:
        raise SsoRefused(Why.BAD_TOKEN, "There is no token, or one that is too long.")
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError) as error:
        raise SsoRefused(Why.BAD_TOKEN, "The token is no JSON Web Token.") from error
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise SsoRefused(Why.ALGORITHM, f"The token is signed by {str(algorithm)[:20]!r}, which is not allowed.")
    if "crit" in header:
        raise SsoRefused(Why.BAD_TOKEN, "The token has a critical extension that nobody knows.")
    return header


def fitting_key(header: Mapping[str, Any], keys: Keys) -> Mapping[str, Any] | None:
    """The key that a token's header names, or the only one that could have signed it."""
    fitting = [key for key in keys if _fits(key, str(header["alg"]))]
    if "kid" in header:
        fitting = [key for key in fitting if key.get("kid") == header["kid"]]
    return fitting[0] if len(fitting) == 1 or (fitting and "kid" in header) else None


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return False
    if algorithm == "EdDSA":
        return key.get("kty") == "OKP" and key.get("crv") in ("Ed25519", "Ed448")
    if algorithm in _CURVES:
        return key.get("kty") == "EC" and key.get("crv") == _CURVES[algorithm]
    return key.get("kty") == "RSA"


def signed_claims(token: str, header: Mapping[str, Any], key: Mapping[str, Any]) -> dict[str, Any]:
    """What the key has signed. Raises `SsoRefused`."""
    algorithm = str(header["alg"])
    # A key set is public; what is private in one is no reason to trust it more, and is never read.
    public = {name: value for name, value in key.items() if name not in {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}}
    try:
        made = jwt.PyJWK(public, algorithm)
        size = getattr(made.key, "key_size", None)
        if key.get("kty") == "RSA" and (not isinstance(size, int) or size < LEAST_RSA_BITS):
            raise SsoRefused(Why.UNKNOWN_KEY, f"The provider's key has fewer than {LEAST_RSA_BITS} bits.")
        claims: Any = jwt.decode(
            token,
            made,
            algorithms=[algorithm],
            options=_SIGNATURE_ALONE,
        )
    except jwt.InvalidSignatureError as error:
        raise SsoRefused(Why.BAD_SIGNATURE, "The token was not signed by the provider's key.") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SsoRefused(Why.BAD_TOKEN, f"The token or its key cannot be read ({type(error).__name__}).") from error
    if not isinstance(claims, dict):
        raise SsoRefused(Why.BAD_TOKEN, "The token holds no claims.")
    return claims


def check_id_token(claims: Mapping[str, Any], expected: TokenExpected, *, nonce: str, now: float) -> None:
    """Whether an ID token is meant for us, now, and for the log-in that asked for it. Raises `SsoRefused`."""
    _check_whose(claims, expected)
    if claims.get("exp") is None:
        raise SsoRefused(Why.BAD_TOKEN, "The token says no time at which it ends.")
    _check_times(claims, now)
    subject_of(claims)
    held = claims.get("nonce")
    if not nonce or not isinstance(held, str) or not hmac.compare_digest(held.encode(), nonce.encode()):
        raise SsoRefused(Why.WRONG_NONCE, "The token answers another log-in.")


def check_log_out_token(claims: Mapping[str, Any], expected: TokenExpected, *, now: float) -> tuple[str, str, str]:
    """Subject, session and identifier that a logout token names (OpenID Connect Back-Channel Logout 1.0, section 2.6). Raises `SsoRefused`."""
    _check_whose(claims, expected)
    _check_times(claims, now)
    issued = time_of_claim(claims, "iat")
    if issued is None or now - issued > LOG_OUT_SECONDS + LEEWAY:
        raise SsoRefused(Why.EXPIRED, "The token is too old.")
    events = claims.get("events")
    if "nonce" in claims or not isinstance(events, Mapping) or not isinstance(events.get(LOG_OUT_EVENT), Mapping):
        raise SsoRefused(Why.BAD_TOKEN, "This is no logout token.")
    subject, session, identifier = (claims.get(name, "") for name in ("sub", "sid", "jti"))
    if not all(isinstance(each, str) and len(each) <= MOST_SUBJECT for each in (subject, session, identifier)):
        raise SsoRefused(Why.BAD_TOKEN, "The token names its subject in no known way.")
    if not identifier or not (subject or session):
        raise SsoRefused(Why.BAD_TOKEN, "The token names neither a subject nor a session, or not itself.")
    return subject, session, identifier


def check_access_token(claims: Mapping[str, Any], algorithm: str, access_token: str) -> None:
    """Whether the access token that came along is the one the ID token was issued with, where that says so. Raises `SsoRefused`."""
    if (held := claims.get("at_hash")) is None:
        return
    digest = hashlib.new(f"sha{algorithm[-3:]}" if algorithm != "EdDSA" else "sha512", access_token.encode()).digest()
    wanted = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not isinstance(held, str) or not hmac.compare_digest(held.encode(), wanted.encode()):
        raise SsoRefused(Why.BAD_TOKEN, "The access token belongs to another ID token.")


def subject_of(claims: Mapping[str, Any]) -> str:
    """Raises `SsoRefused` for none, and for one that is longer than the standard allows."""
    found = claims.get("sub")
    if not isinstance(found, str) or not 0 < len(found) <= MOST_SUBJECT or "\0" in found:
        raise SsoRefused(Why.BAD_TOKEN, "The token names nobody.")
    return found


def _check_whose(claims: Mapping[str, Any], expected: TokenExpected) -> None:
    if claims.get("iss") != expected.issuer:
        raise SsoRefused(Why.WRONG_ISSUER, f"The token is of the issuer {str(claims.get('iss'))[:200]!r}.")
    held = claims.get("aud")
    audiences = [held] if isinstance(held, str) else held
    if not isinstance(audiences, list) or expected.audience not in audiences:
        raise SsoRefused(Why.WRONG_AUDIENCE, "The token is for another client.")
    if claims.get("azp", expected.audience) != expected.audience or (len(audiences) > 1 and "azp" not in claims):
        raise SsoRefused(Why.WRONG_AUDIENCE, "The token was issued to another client.")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    ends, begins, issued = (time_of_claim(claims, name) for name in ("exp", "nbf", "iat"))
    if ends is not None and now >= ends + LEEWAY:
        raise SsoRefused(Why.EXPIRED, "The token has expired.")
    if max(begins or 0.0, issued or 0.0) > now + LEEWAY:
        raise SsoRefused(Why.NOT_YET, "The token is of a time to come: the clocks differ.")


def time_of_claim(claims: Mapping[str, Any], name: str) -> float | None:
    """Unix time; ``None`` for a claim that is not there. Raises `SsoRefused` for what is no time, whatever its type and its size."""
    found = claims.get(name)
    if found is None:
        return None
    # Compared, and not converted: a whole number may be too long for a float. What is no number fails the comparison too (NaN).
    if isinstance(found, bool) or not isinstance(found, int | float) or not -_MOST_TIME <= found <= _MOST_TIME:
        raise SsoRefused(Why.BAD_TOKEN, f"The token's {name} is no time.")
    return float(found)

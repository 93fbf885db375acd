"""The text of access tokens (RFC 9068): signed for ten minutes, and worth no more than the key that they name. Pure: the gateway checks them too.

A token holds no rights. It names a key of the directory by its identifier, so that what ends or changes the key ends or changes the token within a second,
and may bound itself to some of the key's permissions.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.types import Options

from ollamamax.kernel.ids import new_id

TYPE = "at+jwt"
ALGORITHM = "ES256"
AUDIENCE = "ollamamax"
"""Of every access token: no other token that is signed by the same key has it."""
SECONDS = 600
LONGEST = 4096
_HASH_LENGTH = 16
_OPTIONS: Options = {
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "require": ["exp", "iat", "iss", "sub", "aud", "jti"],
}
_MOST_KEPT = 10_000

PublicKeyOf = Callable[[str], str | None]
"""By its ``kid`` the public half of a signing key that counts (PEM)."""


class AccessToken(NamedTuple):
    """``identifier`` and ``hash_part`` (the beginning of the hash of its secret) name a key. ``scope``: permissions; ``None`` for all that it has."""

    identifier: str
    hash_part: str
    scope: frozenset[str] | None
    expires_at: float
    """Unix seconds."""

    def is_of(self, secret_hash: str) -> bool:
        return hmac.compare_digest(self.hash_part.encode(), secret_hash[:_HASH_LENGTH].encode())


def is_access_token(text: str) -> bool:
    """Whether it looks like one: no key does."""
    return len(text) <= LONGEST and text.startswith("ey") and text.count(".") == 2


def make_access_token(
    private_key: str,
    kid: str,
    *,
    issuer: str,
    identifier: str,
    secret_hash: str,
    client: str,
    scope: Iterable[str] | None,
    now: float,
    seconds: int = SECONDS,
) -> str:
    """``private_key`` is PEM."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "aud": AUDIENCE,
        "sub": identifier,
        "client_id": client,
        "key": secret_hash[:_HASH_LENGTH],
        "iat": int(now),
        "exp": int(now) + seconds,
        "jti": new_id(),
    }
    if scope is not None:
        claims["scope"] = " ".join(sorted(scope))
    return jwt.encode(claims, private_key, ALGORITHM, headers={"kid": kid, "typ": TYPE})


def read_access_token(text: str, public_key_of: PublicKeyOf) -> AccessToken | None:
    """``None`` for one that is not good, that has expired, or that was signed by a key that nobody here knows."""
    if not is_access_token(text):
        return None
    try:
        header = jwt.get_unverified_header(text)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or str(header.get("typ", "")).lower() != TYPE or not isinstance(kid, str):
        return None
    public = public_key_of(kid)
    if public is None:
        return None
    found = _checked(text, public)
    return found if found is not None and found.expires_at > time.time() else None


@lru_cache(maxsize=_MOST_KEPT)
def _checked(text: str, public: str) -> AccessToken | None:
    """What the key has signed, whenever that ends. A token is sent with many requests, and checked once."""
    try:
        said: Any = jwt.decode(text, _loaded(public), algorithms=[ALGORITHM], audience=AUDIENCE, options=_OPTIONS)
        scope = said.get("scope")
        return AccessToken(
            str(said["sub"]),
            str(said["key"]),
            None if scope is None else frozenset(str(scope).split()),
            float(said["exp"]),
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def public_jwk(public: str, kid: str) -> dict[str, Any]:
    """The public half (PEM) of a signing key as a key set shows it (RFC 7517): one of RSA signs by RS256, all others by ES256."""
    key = load_pem_public_key(public.encode())
    shown: dict[str, Any]
    if isinstance(key, RSAPublicKey):
        shown = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
        return shown | {"kid": kid, "use": "sig", "alg": "RS256"}
    shown = jwt.algorithms.ECAlgorithm.to_jwk(_loaded(public), as_dict=True)
    return shown | {"kid": kid, "use": "sig", "alg": ALGORITHM}


@lru_cache(maxsize=100)
def _loaded(public: str) -> EllipticCurvePublicKey:
    """Raises `ValueError` for what is no PEM, and `TypeError` for a key of another kind than signs here."""
    key = load_pem_public_key(public.encode())
    if not isinstance(key, EllipticCurvePublicKey):
        raise TypeError("The key is not on an elliptic curve.")
    return key

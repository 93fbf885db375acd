"""What an application is told of a person (OpenID Connect Core, section 5.4), and the tokens by which it asks again. Pure.

Such a token says who asks about whom, and is worth nothing at a gateway, the registry or the management API: its audience is another.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jwt
from jwt.types import Options

from ollamamax.identity.access_tokens import ALGORITHM, SECONDS, TYPE
from ollamamax.kernel.ids import new_id

SCOPES = ("openid", "profile", "email", "groups", "offline_access")
CLAIMS = ("sub", "tenant", "name", "preferred_username", "email", "groups", "roles")
ID_TOKEN_ALGORITHMS = ("RS256", "ES256")
LONGEST = 4096
_CHECKED: Options = {"require": ["exp", "iat", "iss", "sub", "aud", "jti"]}
_UNTIMED: Options = {"require": ["iss", "sub", "aud"], "verify_exp": False, "verify_aud": False}

PublicKeyOf = Callable[[str], str | None]
"""By its ``kid`` the public half of a signing key that counts (PEM)."""


def claims_of(
    *, subject: uuid.UUID, email: str, name: str, tenant: str, role: str, teams: Collection[str], scope: str
) -> dict[str, Any]:
    """``tenant``, ``role`` and ``teams`` are slugs. Nothing is said of whether the address is verified, as nobody here knows it."""
    asked = frozenset(scope.split())
    found: dict[str, Any] = {"sub": str(subject), "tenant": tenant}
    if "profile" in asked:
        found |= {"name": name or email, "preferred_username": email}
    if "email" in asked:
        found["email"] = email
    if "groups" in asked:
        found |= {"groups": sorted(teams), "roles": [role]}
    return found


class UserToken(NamedTuple):
    """``family`` names the tokens that it is one of; whether those still count is not said by it."""

    subject: uuid.UUID
    family: uuid.UUID
    scope: str


def user_info_address(issuer: str) -> str:
    return f"{issuer}/oauth/userinfo"


def make_user_token(
    private_key: str,
    kid: str,
    *,
    issuer: str,
    subject: uuid.UUID,
    client: str,
    family: uuid.UUID,
    scope: str,
    now: float,
) -> str:
    """RFC 9068, for ten minutes. ``private_key`` is PEM."""
    claims = {
        "iss": issuer,
        "aud": user_info_address(issuer),
        "sub": str(subject),
        "client_id": client,
        "sid": family.hex,
        "scope": scope,
        "iat": int(now),
        "exp": int(now) + SECONDS,
        "jti": new_id(),
    }
    return jwt.encode(claims, private_key, ALGORITHM, headers={"kid": kid, "typ": TYPE})


def read_user_token(text: str, public_key_of: PublicKeyOf, *, issuer: str) -> UserToken | None:
    """``None`` for one that is not good, or has expired."""
    public = _key_of(text, public_key_of, TYPE, (ALGORITHM,))
    if public is None:
        return None
    try:
        said = jwt.decode(
            text, public, algorithms=[ALGORITHM], audience=user_info_address(issuer), issuer=issuer, options=_CHECKED
        )
        return UserToken(uuid.UUID(said["sub"]), uuid.UUID(said["sid"]), str(said["scope"]))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class Hint(NamedTuple):
    """An ID token of ours that is shown again: whose it is, and which application's."""

    subject: str
    client: str


def read_hint(text: str, public_key_of: PublicKeyOf, *, issuer: str) -> Hint | None:
    """An ID token counts as a hint after its end too (OpenID Connect RP-Initiated Logout 1.0, section 2). ``None`` for what is none of ours."""
    public = _key_of(text, public_key_of, "jwt", ID_TOKEN_ALGORITHMS)
    if public is None:
        return None
    try:
        # A key is good for its own algorithm alone: PyJWT refuses one of the other kind.
        said = jwt.decode(text, public, algorithms=ID_TOKEN_ALGORITHMS, issuer=issuer, options=_UNTIMED)
        audience = said["aud"]
        return Hint(str(said["sub"]), str(audience[0] if isinstance(audience, list) else audience))
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None


def _key_of(text: str, public_key_of: PublicKeyOf, kind: str, algorithms: Collection[str]) -> str | None:
    """The key that a token's header names, where its type and its algorithm are what they must be."""
    if not text or len(text) > LONGEST:
        return None
    try:
        header = jwt.get_unverified_header(text)
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    kid = header.get("kid")
    typed = str(header.get("typ", "JWT")).lower() == kind
    if header.get("alg") not in algorithms or not typed or not isinstance(kid, str):
        return None
    return public_key_of(kid)

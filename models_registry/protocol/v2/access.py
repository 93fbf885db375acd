"""Who speaks the registry protocol: an API key, as a bearer token or as the password of a log-in, or a token of ours made from one.

Tokens and signed addresses name a key and what they are good for. They end with the key, which is looked up each time.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from django.core import signing

from models_registry.distribution.faults import RegistryFault
from models_registry.distribution.names import check_name
from ollamamax.bus.directory import Directory
from ollamamax.identity import access
from ollamamax.identity.access import Identified, Where
from ollamamax.identity.access_tokens import is_access_token
from ollamamax.kernel.errors import Unauthenticated
from ollamamax.kernel.principal import Principal
from ollamamax.kernel.reach import require_reach

TOKEN_SECONDS = 3600
ADDRESS_SECONDS = 24 * 3600
"""A client that downloads a large blob in parts goes on with the address that it was given for the first."""
ACTIONS = ("pull", "push", "delete")
_TOKEN, _ADDRESS = "models_registry.token", "models_registry.address"
_MOST_TOKEN = 8192
_MOST_SCOPES = 32


@dataclass(frozen=True)
class V2Caller:
    """``scopes``: actions by repository that a token is limited to; ``None`` for who showed the key itself."""

    acting: Principal
    known: Identified
    scopes: dict[str, frozenset[str]] | None = None

    def may(self, action: str, name: str) -> bool:
        return self.scopes is None or action in self.scopes.get(name, ())


async def caller_of(authorization: str | None, directory: Directory, where: Where) -> V2Caller:
    """Raises `Unauthenticated`, `Forbidden` for a key that may not be used there, and `Unavailable` for a process that has not heard of any keys yet."""
    scheme, _, text = (authorization or "").partition(" ")
    text = text.strip()
    if scheme.lower() == "basic":
        authorization = f"Bearer {_password(text)}"
    elif scheme.lower() == "bearer" and not text.startswith("omx_") and not is_access_token(text):
        said = _read(text, _TOKEN, TOKEN_SECONDS)
        scopes = {name: frozenset(actions) for name, actions in said["scopes"].items()}
        return _known(said, directory, scopes, where)
    known = await access.identify(authorization, directory, None, where=where)
    return V2Caller(known.principal, known)


def _password(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def token(known: Identified, scopes: dict[str, list[str]]) -> str:
    return token_of_key(known.identifier, known.key.hash, scopes)


def token_of_key(identifier: str, secret_hash: str, scopes: dict[str, list[str]]) -> str:
    """``identifier``, ``secret_hash``: of a key, as the directory has them."""
    return _made({"scopes": scopes}, identifier, secret_hash, _TOKEN)


def address(known: Identified, name: str, digest: str) -> str:
    """What makes an address of this blob good without any header."""
    return _made({"name": name, "digest": digest}, known.identifier, known.key.hash, _ADDRESS)


def caller_by_address(text: str, directory: Directory, name: str, digest: str, where: Where) -> V2Caller:
    """Raises `Unauthenticated` for what was signed for another blob, or lapsed, or by a key that works no more."""
    said = _read(text, _ADDRESS, ADDRESS_SECONDS)
    if (said["name"], said["digest"]) != (name, digest):
        raise _refused()
    return _known(said, directory, {name: frozenset({"pull"})}, where)


def _made(said: dict[str, Any], identifier: str, secret_hash: str, salt: str) -> str:
    return signing.dumps({**said, "key": identifier, "hash": secret_hash[:16]}, salt=salt, compress=True)


def _read(text: str, salt: str, seconds: int) -> dict[str, Any]:
    if len(text) > _MOST_TOKEN:
        raise _refused()
    try:
        said: dict[str, Any] = signing.loads(text, salt=salt, max_age=seconds)
    except signing.BadSignature:
        raise _refused() from None
    return said


def _known(said: dict[str, Any], directory: Directory, scopes: dict[str, frozenset[str]], where: Where) -> V2Caller:
    key = access.working_key(directory, said["key"])
    if key is None or key.hash[:16] != said["hash"]:
        raise _refused()
    require_reach(key.reach, *where)
    known = access.identified(key, said["key"])
    return V2Caller(known.principal, known, scopes)


def _refused() -> Unauthenticated:
    return Unauthenticated("The token is wrong or has lapsed.")


def asked_scopes(texts: list[str]) -> dict[str, list[str]]:
    """``repository:<name>:<actions>``, several of them in one text or in several. Others are left out, as the token specification has it."""
    found: dict[str, list[str]] = {}
    each = [scope for text in texts for scope in text.split(" ") if scope]
    for scope in each[:_MOST_SCOPES]:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind != "repository":
            continue
        try:
            check_name(name)
        except RegistryFault:
            continue
        wanted = ACTIONS if actions == "*" else actions.split(",")
        held = found.setdefault(name, [])
        held += [action for action in ACTIONS if action in wanted and action not in held]
    return found


def challenge(realm: str, service: str, name: str, actions: str) -> str:
    """The header of a 401 that says where to get a token for what was asked."""
    scope = f',scope="repository:{name}:{actions}"' if name else ""
    return f'Bearer realm="{realm}",service="{service}"{scope}'

"""The text of keys: made, parsed, hashed. Pure, so that the gateway and the nodes use it too.

A key is ``omx_<identifier>_<secret>`` (a node's begins with ``omxn_``, a join token with ``omxj_``, a
directory's token of SCIM with ``omxs_``): the identifier
finds the row and may be shown, the secret is 256 random bits, of which only the SHA-256 is kept. A slow hash would add
nothing: there is no dictionary of 256-bit secrets to try.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from typing import Literal, NamedTuple

Kind = Literal["key", "node", "join", "scim"]

IDENTIFIER_LENGTH = 16
_ALPHABET = string.ascii_letters + string.digits
_PREFIXES: dict[Kind, str] = {"key": "omx", "node": "omxn", "join": "omxj", "scim": "omxs"}
_KEY = re.compile(r"(omx[njs]?)_([A-Za-z0-9]{16})_([A-Za-z0-9_-]{43})", re.ASCII)


class NewKey(NamedTuple):
    """``text`` is shown once and not kept; ``identifier`` and ``secret_hash`` are stored."""

    text: str
    identifier: str
    secret_hash: str


def make_key(kind: Kind = "key") -> NewKey:
    identifier = "".join(secrets.choice(_ALPHABET) for _ in range(IDENTIFIER_LENGTH))
    secret = secrets.token_urlsafe(32)
    return NewKey(f"{_PREFIXES[kind]}_{identifier}_{secret}", identifier, hash_secret(secret))


def parse_key(text: str, kind: Kind = "key") -> tuple[str, str] | None:
    """``(identifier, secret)``, or ``None`` when the text is not a key of this kind."""
    found = _KEY.fullmatch(text)
    if found is None or found[1] != _PREFIXES[kind]:
        return None
    return found[2], found[3]


def hash_secret(secret: str) -> str:
    """SHA-256 of the secret, 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, secret_hash: str) -> bool:
    """Whether the secret has this hash, in constant time."""
    return hmac.compare_digest(hash_secret(secret), secret_hash)

"""Who made a bundle: an Ed25519 signature over its index, which names everything in it by digest. Pure.

An installation's key follows from its secret, so that nothing of it is kept; a new secret makes a new key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ollamamax.kernel.errors import Forbidden, InvalidRequest

KEY = re.compile(r"[0-9a-f]{64}")
_SIGNATURE = re.compile(r"[0-9a-f]{128}")
_CONTEXT = b"ollamamax bundle v1\n"


class BundleInvalid(InvalidRequest):
    """It is none, not whole, or was changed."""

    code = "bundle_invalid"


class SignerNotTrusted(Forbidden):
    """``fields['key']`` is whose it says that it is."""

    code = "signer_not_trusted"


def signing_key(secret: str) -> Ed25519PrivateKey:
    derived = HKDF(SHA256(), 32, salt=None, info=b"ollamamax bundle signing").derive(secret.encode())
    return Ed25519PrivateKey.from_private_bytes(derived)


def public_key(secret: str) -> str:
    """64 hexadecimal digits."""
    return signing_key(secret).public_key().public_bytes_raw().hex()


def sign(secret: str, index: bytes) -> bytes:
    """The member that stands beside the index."""
    made = signing_key(secret).sign(_signed(index)).hex()
    return json.dumps({"key": public_key(secret), "signature": made}).encode()


def check(member: bytes, index: bytes, trusted: Iterable[str]) -> str:
    """Whose signature it is. Raises `BundleInvalid`, and `SignerNotTrusted` for a right one by a key that is not among those."""
    try:
        said: Any = json.loads(member)
        key, signature = said["key"], said["signature"]
        right = isinstance(key, str) and isinstance(signature, str)
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    if not right or not KEY.fullmatch(key) or not _SIGNATURE.fullmatch(signature):
        raise BundleInvalid("The bundle's signature cannot be read.")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), _signed(index))
    except InvalidSignature:
        raise BundleInvalid("The bundle was changed after it was signed.") from None
    if key not in set(trusted):
        raise SignerNotTrusted(f"The bundle is signed by {key}, whom this tenant does not trust.", key=key)
    return str(key)


def _signed(index: bytes) -> bytes:
    return _CONTEXT + hashlib.sha256(index).digest()

"""The secret box: seals bytes that lie in Postgres, under a ring of keys of which the newest seals and all open.

A sealed value is a format byte, four bytes that name the key, a nonce of 12 bytes, and AES-256-GCM's output
(https://csrc.nist.gov/pubs/sp/800/38/d/final). What a value belongs to (its ``place``) is authenticated with it, so that a row's
value cannot be put into another row. Knows no Django.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_FORMAT = b"\x01"
_NAME_BYTES = 4
_NONCE_BYTES = 12
_HEAD = len(_FORMAT) + _NAME_BYTES + _NONCE_BYTES


class CannotOpen(Exception):
    """The value was sealed with a key that is not in the ring, for another place, or was changed."""


class SecretBox:
    """``keys`` are of 32 bytes each, the newest first; at least one."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a secret box needs keys of {KEY_BYTES} bytes")
        self._newest = _name(keys[0])
        self._ciphers = {_name(key): AESGCM(key) for key in keys}

    def seal(self, plain: bytes, place: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _FORMAT + self._newest + nonce
        return head + self._ciphers[self._newest].encrypt(nonce, plain, _bound(head, place))

    def open(self, sealed: bytes, place: str) -> bytes:
        """Raises `CannotOpen`."""
        head = sealed[:_HEAD]
        cipher = self._ciphers.get(head[1 : 1 + _NAME_BYTES])
        if len(head) < _HEAD or not head.startswith(_FORMAT) or cipher is None:
            raise CannotOpen("no key of the ring sealed it")
        try:
            return cipher.decrypt(head[-_NONCE_BYTES:], sealed[_HEAD:], _bound(head, place))
        except InvalidTag:
            raise CannotOpen("it was sealed for another place, or changed") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest key sealed it; else it wants to be sealed anew before that key's predecessor goes."""
        return sealed[: 1 + _NAME_BYTES] == _FORMAT + self._newest


def derived_key(secret: str) -> bytes:
    """The key of an installation that was given none (RFC 5869)."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"ollamamax secret box").derive(secret.encode())


def _name(key: bytes) -> bytes:
    return hashlib.sha256(b"ollamamax secret box key\0" + key).digest()[:_NAME_BYTES]


def _bound(head: bytes, place: str) -> bytes:
    return head + place.encode()

"""Seals bytes to a public key, so that who seals cannot open: hybrid public key encryption (RFC 9180), X25519 with AES-256-GCM.

A sealed value is a format byte and what HPKE makes of it. What it belongs to (its ``place``) is bound to it, so that a row's value cannot
be put into another row. Knows no Django.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ollamamax.secret_box import CannotOpen

_FORMAT = b"\x01"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def new_pair() -> tuple[bytes, bytes]:
    """The public and the private half, of 32 bytes each."""
    made = X25519PrivateKey.generate()
    return made.public_key().public_bytes_raw(), made.private_bytes_raw()


def seal_to(public: bytes, plain: bytes, place: str) -> bytes:
    """Raises `ValueError` for what is no public key."""
    return _FORMAT + _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(public), place.encode())


def open_with(private: bytes, sealed: bytes, place: str) -> bytes:
    """Raises `CannotOpen`."""
    if not sealed.startswith(_FORMAT):
        raise CannotOpen("it is sealed in a form that this release does not know")
    try:
        return _SUITE.decrypt(sealed[len(_FORMAT) :], X25519PrivateKey.from_private_bytes(private), place.encode())
    except (InvalidTag, ValueError):
        raise CannotOpen("it was sealed to another key or for another place, or changed") from None

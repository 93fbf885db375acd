"""How Ollama's client says who it is (``auth/auth.go`` and ``server/auth.go`` there): it signs the address that it asks for a token. Pure.

The header is ``<public key>:<signature>``, both in base64: an OpenSSH key of the kind ``ssh-ed25519``, and the signature of ``GET,<address>,<hash of no body>``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ollamamax.kernel.errors import InvalidRequest

LATE_SECONDS = 300
"""A signature is good for so long, before and after its time."""
KIND = b"ssh-ed25519"
_HEADER = re.compile(r"([A-Za-z0-9+/]{60,100}={0,2}):([A-Za-z0-9+/]{86}={0,2})")
_NO_BODY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()


@dataclass(frozen=True)
class SignedHeader:
    public_key: str
    signature: bytes

    @staticmethod
    def read(text: str) -> SignedHeader | None:
        found = _HEADER.fullmatch(text)
        if found is None or raw_key(found[1]) is None:
            return None
        try:
            return SignedHeader(found[1], base64.b64decode(found[2], validate=True))
        except binascii.Error:
            return None

    def signs(self, address: str) -> bool:
        raw = raw_key(self.public_key)
        try:
            Ed25519PublicKey.from_public_bytes(raw or b"").verify(self.signature, f"GET,{address},{_NO_BODY}".encode())
        except (InvalidSignature, ValueError):
            return False
        return True


def public_key_in(text: str) -> str:
    """The base64 in a line of ``id_ed25519.pub``. Raises `InvalidRequest`."""
    words = text.split()
    key = words[1] if len(words) > 1 and words[0] == KIND.decode() else words[0] if len(words) == 1 else ""
    if len(key) > 100 or raw_key(key) is None:
        raise InvalidRequest("Send the line in ~/.ollama/id_ed25519.pub: an OpenSSH key of the kind ssh-ed25519.")
    return key


def is_fresh(ts: str, now: float) -> bool:
    """``ts``: the time of the request that was signed, in Unix seconds."""
    return re.fullmatch(r"[0-9]{1,12}", ts, re.ASCII) is not None and abs(int(ts) - now) <= LATE_SECONDS


def raw_key(text: str) -> bytes | None:
    """The 32 bytes of the key, out of OpenSSH's form (RFC 4253, section 6.6, and RFC 8709)."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    head = struct.pack(">I", len(KIND)) + KIND + struct.pack(">I", 32)
    return data[len(head) :] if data.startswith(head) and len(data) == len(head) + 32 else None

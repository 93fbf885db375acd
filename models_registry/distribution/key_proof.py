"""Shows that somebody has the private half of an OpenSSH key: a signature as ``ssh-keygen -Y sign`` makes it, of the public part of an API key. Pure.

https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from models_registry.distribution.ollama_key import KIND, raw_key
from ollamamax.kernel.errors import InvalidRequest

NAMESPACE = b"ollamamax"
"""What the signature is for (``-n``): one that was made for something else proves nothing here."""
_MAGIC = b"SSHSIG"
_VERSION = 1
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}
_ARMOUR = re.compile(r"\s*-----BEGIN SSH SIGNATURE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END SSH SIGNATURE-----\s*")
HOW = (
    'Sign the first 20 characters of the API key with the Ollama\'s key: printf %.20s "$KEY" | ssh-keygen -Y sign -n ollamamax '
    "-f ~/.ollama/id_ed25519, and send what that prints."
)


def proven_key(text: str, message: bytes) -> str:
    """The base64 of the public key whose other half signed ``message``. Raises `InvalidRequest` for everything else."""
    found = _ARMOUR.fullmatch(text)
    try:
        fields = _Fields(base64.b64decode("".join(found[1].split()), validate=True) if found else b"")
        if fields.take(len(_MAGIC)) != _MAGIC or fields.number() != _VERSION:
            raise ValueError("no signature of OpenSSH")
        key, namespace, reserved, hash_name, signature = (fields.text() for _ in range(5))
        kind, signed = _Fields(signature).texts()
        if fields.rest or namespace != NAMESPACE or kind != KIND:
            raise ValueError("a signature for something else")
        public_key = base64.b64encode(key).decode()
        hashed = _HASHES[hash_name](message).digest()
        told = _MAGIC + b"".join(
            struct.pack(">I", len(each)) + each for each in (namespace, reserved, hash_name, hashed)
        )
        Ed25519PublicKey.from_public_bytes(raw_key(public_key) or b"").verify(signed, told)
    except (ValueError, KeyError, struct.error, binascii.Error, InvalidSignature):
        raise InvalidRequest(f"This does not prove that the key is yours. {HOW}") from None
    return public_key


class _Fields:
    """Texts with their lengths before them (RFC 4251, section 5), read from the beginning."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, size: int) -> bytes:
        """Raises `ValueError` where there is less."""
        if len(self.rest) < size:
            raise ValueError("cut")
        found, self.rest = self.rest[:size], self.rest[size:]
        return found

    def number(self) -> int:
        found: int = struct.unpack(">I", self.take(4))[0]
        return found

    def text(self) -> bytes:
        return self.take(self.number())

    def texts(self) -> Iterator[bytes]:
        while self.rest:
            yield self.text()

"""How a webhook's body is signed: Standard Webhooks, version 1 (https://www.standardwebhooks.com). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """As its receiver is given it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(keys: Iterable[bytes], *, id_: str, at: int, body: bytes) -> dict[str, str]:
    """``at`` in Unix seconds, of this very attempt. While a secret is rotated there is a signature by each."""
    signed = b".".join([id_.encode(), str(at).encode(), body])
    signatures = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": id_,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }

"""One-time codes of authenticator programs (RFC 6238), and recovery codes. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

import pyotp

STEP_SECONDS = 30
DRIFT = 1
"""How many steps a program's clock may be off, before and after."""
RECOVERY_CODES = 10
_CODE = re.compile(r"[0-9]{6}", re.ASCII)


def new_secret() -> str:
    """160 random bits in base32, as RFC 4226 asks for."""
    return pyotp.random_base32()


def address_of(secret: str, *, account: str, issuer: str) -> str:
    """The ``otpauth://`` address that a QR code shows."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def step_of(code: str, secret: str, *, now: float, after: int) -> int | None:
    """The time step that the code is of; ``None`` for a wrong one, and for one that is not newer than the step ``after``.

    ``now`` in Unix seconds. People write codes in two groups: blanks do not count.
    """
    text = re.sub(r"\s", "", code)
    if _CODE.fullmatch(text) is None:
        return None
    program = pyotp.TOTP(secret)
    current = int(now) // STEP_SECONDS
    # All steps are compared, so that the time says nothing of which one it was.
    found = [
        step
        for step in range(current - DRIFT, current + DRIFT + 1)
        if hmac.compare_digest(program.generate_otp(step), text)
    ]
    newer = [step for step in found if step > after]
    return max(newer, default=None)


def new_recovery_codes() -> list[str]:
    """Of 80 random bits each, in four groups."""
    texts = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    return ["-".join(text[start : start + 4] for start in range(0, 16, 4)) for text in texts]


def hash_of_recovery_code(code: str) -> str:
    """However it was written: blanks, hyphens and case do not count."""
    text = re.sub(r"[\s-]", "", code).lower()
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

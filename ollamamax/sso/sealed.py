"""Texts in the secret box: clients' secrets, and ID tokens."""

from __future__ import annotations

from django.conf import settings


def sealed(text: str, place: str) -> bytes:
    """Nothing for an empty one."""
    found: bytes = settings.SECRET_BOX.seal(text.encode(), place) if text else b""
    return found


def opened(value: bytes | memoryview, place: str) -> str:
    """Raises `CannotOpen`."""
    return settings.SECRET_BOX.open(bytes(value), place).decode() if bytes(value) else ""

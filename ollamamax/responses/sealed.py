"""JSON in the secret box."""

from __future__ import annotations

from typing import Any

import msgspec
from django.conf import settings

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def sealed(value: Any, place: str) -> bytes:
    found: bytes = settings.SECRET_BOX.seal(_encode(value), place)
    return found


def opened(value: bytes | memoryview, place: str) -> Any:
    """Raises `CannotOpen`."""
    return _decode(settings.SECRET_BOX.open(bytes(value), place))

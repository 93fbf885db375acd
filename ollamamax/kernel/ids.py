"""Identifiers: time-ordered UUIDs (RFC 9562, version 7), so that primary keys grow in insertion order."""

from __future__ import annotations

import os
import time
import uuid


def uuid7() -> uuid.UUID:
    """A UUID of 48 bits of Unix milliseconds and 74 random bits (RFC 9562, section 5.7)."""
    return uuid.UUID(int=_number())


def new_id() -> str:
    """A version 7 UUID as 32 hexadecimal digits: request ids, process ids, node ids on the wire."""
    return f"{_number():032x}"


def _number() -> int:
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return value & ~(0x3 << 62) | 0x2 << 62

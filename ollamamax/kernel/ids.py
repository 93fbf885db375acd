"""Identifiers: time-ordered UUIDs (RFC 9562, version 7), so that primary keys grow in insertion order."""

from __future__ import annotations

import os
import time
import uuid

_RANDOM_BYTES = 10
_AT_ONCE = 100
_random: list[bytes] = []
"""Of the system's random bytes, asked for so many ids at once: asking takes ten times as long as the rest of making one. `list.pop` hands each out once, to
whichever thread."""
os.register_at_fork(after_in_child=_random.clear)


def uuid7() -> uuid.UUID:
    """A UUID of 48 bits of Unix milliseconds and 74 random bits (RFC 9562, section 5.7)."""
    return uuid.UUID(int=_number())


def new_id() -> str:
    """A version 7 UUID as 32 hexadecimal digits: request ids, process ids, node ids on the wire."""
    return f"{_number():032x}"


def _number() -> int:
    try:
        random = _random.pop()
    except IndexError:
        found = os.urandom(_RANDOM_BYTES * _AT_ONCE)
        random, *others = (found[at : at + _RANDOM_BYTES] for at in range(0, len(found), _RANDOM_BYTES))
        _random.extend(others)
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return value & ~(0x3 << 62) | 0x2 << 62

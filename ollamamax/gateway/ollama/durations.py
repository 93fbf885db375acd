"""Go's durations (https://pkg.go.dev/time#ParseDuration), as ``keep_alive`` has them. Pure."""

from __future__ import annotations

import math
import re

from ollamamax.kernel.errors import InvalidRequest

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
FOREVER = -1.0
_MOST = 9.2e9
"""Seconds: what Go's nanoseconds in 64 bits can hold, 292 years."""


def seconds(keep_alive: float | str | None) -> float | None:
    """Of a number of seconds, or of a duration such as ``5m``, ``1h30m``, ``-1`` or ``0``; what is negative or beyond all time
    is for ever. Raises `InvalidRequest`."""
    if keep_alive is None:
        return None
    found = _parsed(keep_alive) if isinstance(keep_alive, str) else float(keep_alive)
    return found if 0 <= found < _MOST else FOREVER


def _parsed(text: str) -> float:
    bare = text.strip()
    sign = -1.0 if bare.startswith("-") else 1.0
    bare = bare.removeprefix("-" if sign < 0 else "+")
    if _NUMBER.fullmatch(bare):
        return sign * float(bare)
    parts = _PART.findall(bare)
    if not parts or "".join(number + unit for number, unit in parts) != bare:
        raise InvalidRequest(f"'keep_alive' is not a duration: {text[:50]!r}.", param="keep_alive")
    return sign * math.fsum(float(number) * _SECONDS[unit] for number, unit in parts)

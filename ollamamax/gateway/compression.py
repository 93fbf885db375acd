"""Compression of whole answers, for clients that ask for it. Token streams are never compressed: they are to arrive at once."""

from __future__ import annotations

import asyncio
import zlib

LEAST_BYTES = 1024
"""Below this an answer fits into one packet anyway."""
LONG_BYTES = 32 << 10
"""Above this it takes milliseconds, in which the streams of this process are not to wait."""
_LEVEL = 1  # lists and vectors shrink almost as much as at higher levels, in a third to a fifteenth of the time
_GZIP = zlib.MAX_WBITS + 16


def wants_gzip(accepted: str | None) -> bool:
    """Whether a client that sent this ``Accept-Encoding`` takes gzip (RFC 9110, 12.5.3)."""
    if accepted is None:
        return False
    weights = dict(_weight(part) for part in accepted.lower().split(","))
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _weight(part: str) -> tuple[str, float]:
    name, _, parameters = part.partition(";")
    _, is_given, text = parameters.partition("q=")
    try:
        return name.strip(), float(text) if is_given else 1.0
    except ValueError:
        return name.strip(), 0.0


async def gzip(body: bytes) -> bytes:
    return await asyncio.to_thread(_gzip, body) if len(body) > LONG_BYTES else _gzip(body)


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()

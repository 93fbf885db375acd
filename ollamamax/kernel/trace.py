"""W3C Trace Context (https://www.w3.org/TR/trace-context/): read, continue and write ``traceparent``."""

from __future__ import annotations

import random
import re

_bits = random.getrandbits
"""Names, not secrets; after a fork Python seeds it anew."""
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def child(parent: str | None) -> str:
    """A ``traceparent`` for a new span: in the trace of ``parent``, or in a new sampled one.

    A parent that the specification calls invalid (section 3.2.2) starts a new trace.
    """
    trace_id, flags = (_parse(parent) if parent else None) or (f"{_bits(128):032x}", "01")
    return f"00-{trace_id}-{_bits(64):016x}-{flags}"


def below(ours: str) -> str:
    """A new span in the trace of a ``traceparent`` that `child` made."""
    return f"{ours[:36]}{_bits(64):016x}{ours[52:]}"


def new_span() -> str:
    """The 16 hexadecimal digits that name a span."""
    return f"{_bits(64):016x}"


def parts(traceparent: str) -> tuple[str, str, str]:
    """The trace, the span and the flags of a ``traceparent`` that is valid."""
    _, trace, span, flags = traceparent.split("-")[:4]
    return trace, span, flags


def is_valid(value: str | None) -> bool:
    """Whether a ``traceparent`` that came from elsewhere names a span."""
    return value is not None and _parse(value) is not None


def trace_id(traceparent: str) -> str:
    """The 32 hexadecimal digits that name the trace."""
    return traceparent.split("-", 2)[1]


def _parse(value: str) -> tuple[str, str] | None:
    found = _TRACEPARENT.fullmatch(value)
    if found is None:
        return None
    version, trace, span, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace, 16) or not int(span, 16):
        return None
    return trace, f"{int(flags, 16) & 1:02x}"

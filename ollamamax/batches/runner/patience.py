"""Whether a request of a batch is tried again, and when: what has all day to wait need not fail. Pure."""

from __future__ import annotations

import msgspec

from ollamamax.gateway.whole_response import WholeResponse

PAUSES = (1.0, 3.0, 10.0)
"""Seconds before each further attempt after a failure that another node, or the same one later, may not have."""
FIRST, MOST = 0.05, 5.0
"""Seconds of the first pause and the longest of those who find no room."""


class _Error(msgspec.Struct):
    code: str | None = None


class _Body(msgspec.Struct):
    error: _Error


_decode = msgspec.json.Decoder(_Body).decode


def pause_for_room(answer: WholeResponse, refusals: int) -> float | None:
    """Seconds, where there is no slot, no node, or no more allowed by a limit; ``None`` for every other answer.

    Waiting helps then, until the batch expires. From short to as long as the gateway says, by the ``refusals`` before: the
    slot of a request that has just ended is free a moment later.
    """
    if answer.status not in {429, 503}:
        return None
    return min(MOST, answer.retry_after or 2.0, FIRST * 2.0 ** min(refusals, 10))


def pause_after(answer: WholeResponse, failures: int) -> float | None:
    """Seconds, after a failure that may pass, or ``None`` for an answer that stands. ``failures`` are those before."""
    return PAUSES[failures] if failures < len(PAUSES) and _may_pass(answer) else None


def _may_pass(answer: WholeResponse) -> bool:
    """A time-out would take its whole time again; a model may be missing while the registry is published anew."""
    if answer.status >= 500:
        return answer.status != 504
    return answer.status == 404 and _code(answer) == "model_not_found"


def _code(answer: WholeResponse) -> str | None:
    try:
        return _decode(answer.body).error.code
    except msgspec.DecodeError:
        return None

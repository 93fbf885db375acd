"""What the results of all cases come to: a score, and the speed that was measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MeasuredCase:
    """What was measured of one case that chats; ``None``: nothing."""

    first_token_ms: float | None
    tokens_per_second: float | None


def score_of(passed: int, total: int) -> float:
    """The share of cases all of whose checks passed."""
    return passed / total


def speed_of(cases: Iterable[MeasuredCase]) -> dict[str, Any]:
    """For ``first_token_ms`` and ``tokens_per_second``: ``median``, ``least``, ``most`` and ``count`` of those that were measured; null for none."""
    found = list(cases)
    return {
        "first_token_ms": _spread([each.first_token_ms for each in found if each.first_token_ms is not None]),
        "tokens_per_second": _spread([each.tokens_per_second for each in found if each.tokens_per_second is not None]),
    }


def _spread(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    return {
        "median": statistics.median(values),
        "least": min(values),
        "most": max(values),
        "count": len(values),
    }

"""How long to wait before something that failed is tried once more: longer each time, and never all at the same moment."""

from __future__ import annotations

FIRST_SECONDS = 5.0
MOST_SECONDS = 4 * 3600.0
GROWTH = 4.0
JITTER = 0.2
"""The share by which a pause is longer or shorter than it would be, by chance."""


def pause(failures: int, chance: float, *, first: float = FIRST_SECONDS, most: float = MOST_SECONDS) -> float:
    """Seconds after the ``failures``-th failure (from 1 on); ``chance`` is drawn between 0 and 1."""
    grown = first * GROWTH ** min(failures - 1, 20)
    return min(grown, most) * (1 + JITTER * (2 * chance - 1))

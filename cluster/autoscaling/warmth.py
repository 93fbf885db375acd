"""Which versions that nobody asks for right now are worth keeping in memory: how many requests are to be expected soon, by recent use and time of day.

The rate that is expected mixes two: of the last hours, where an hour ago counts half of now, and of the same quarter of an hour of the days before, where the
same day of the week counts three times. Each is an estimate from few requests, so they are averaged with the weight of what they were counted over. Rates are
requests in a second; steps are quarters of an hour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from cluster.autoscaling.forecast import DAY, DAYS, SAME_WEEKDAY

STEP = 900
HALF_LIFE = 3600.0
HOURS = 6
"""So far back recent use counts."""
AHEAD = 1800.0
"""Seconds for which it is kept: the requests that are expected within them are its warmth."""
NEIGHBOUR = 0.5
"""How much a quarter of an hour beside the same one of another day counts."""


def expected_rate(counts: Mapping[int, int], now: float, known_since: float) -> float:
    """``counts``: requests by step, under its beginning in Unix seconds; a step that is missing had none. ``known_since``: of what was before nothing is known."""
    present = int(now) // STEP * STEP
    recent, recent_seconds = _recent(counts, now, present, known_since)
    daily, daily_seconds = _daily(counts, now, present, known_since)
    seconds = recent_seconds + daily_seconds
    return (recent + daily) / seconds if seconds > 0 else 0.0


def expected_requests(rate: float) -> float:
    """Within `AHEAD`, at this rate."""
    return max(0.0, rate) * AHEAD


def likelihood(expected: float) -> float:
    """That at least one comes, where so many are expected, from 0 to 1: arrivals by chance (Poisson)."""
    return 1.0 - math.exp(-max(0.0, expected))


def _recent(counts: Mapping[int, int], now: float, present: int, known_since: float) -> tuple[float, float]:
    """Requests and seconds of the last hours, each step with its weight."""
    requests = seconds = 0.0
    for step in range(HOURS * 3600 // STEP + 1):
        at = present - step * STEP
        if at + STEP <= known_since:
            break
        length = now - at if at == present else float(STEP)
        weight = 0.5 ** ((now - at - length / 2) / HALF_LIFE)
        requests += weight * counts.get(at, 0)
        seconds += weight * length
    return requests, seconds


def _daily(counts: Mapping[int, int], now: float, present: int, known_since: float) -> tuple[float, float]:
    """Likewise of what the days before had from this time of day on, for as long as is looked ahead."""
    requests = seconds = 0.0
    ahead = int(AHEAD) // STEP
    for day in range(1, DAYS + 1):
        then = present - day * DAY
        if then < known_since:
            break
        counted = SAME_WEEKDAY if day == DAYS else 1.0
        for step in range(-1, ahead + 2):
            weight = counted * (1.0 if 0 <= step <= ahead else NEIGHBOUR)
            requests += weight * counts.get(then + step * STEP, 0)
            seconds += weight * STEP
    return requests, seconds

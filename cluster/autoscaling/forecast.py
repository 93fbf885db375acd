"""What load is to be expected soon: from its level and trend of the last minutes, and from how it went on at this time of the days before.

Two parts, both of the textbook. Level and trend are Holt's linear smoothing, with the trend damped at each step, over the load of single minutes. The time
of day is a seasonal difference: by how much the load rose, in the mean of the days before, from this time of day to what is looked ahead to; the same day of
the week counts three times. Of two days at least something must be known, or this part says nothing. Loads in erlangs, times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cluster.autoscaling.queueing import MOST_SERVERS

MINUTE = 60
DAY = 86_400
LEVEL, TREND, DAMPED = 0.4, 0.1, 0.9
"""The weights of the newest minute in level and trend, and what is left of the trend a minute later."""
AROUND = 10
"""Minutes before now, over which the load of a day before is averaged; what is looked ahead to is averaged over half of that."""
DAYS = 7
LEAST_DAYS = 2
SAME_WEEKDAY = 3.0


@dataclass(frozen=True, slots=True)
class LoadStep:
    """What ended in the minute from ``at`` on (Unix seconds): so many ``requests``, which ran for ``busy`` seconds together."""

    at: int
    requests: int = 0
    busy: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """``level``: now; ``trend``: how it goes on by the last minutes; ``daily``: by the days before, ``None`` where too few are known."""

    level: float
    trend: float
    daily: float | None

    @property
    def most(self) -> float:
        return max(self.level, self.trend, self.daily or 0.0)


def by_minute(steps: Iterable[LoadStep]) -> dict[int, float]:
    """The load of each minute in which anything ended."""
    found: dict[int, float] = {}
    for each in steps:
        at = each.at - each.at % MINUTE
        found[at] = min(found.get(at, 0.0) + max(0.0, each.busy) / MINUTE, MOST_SERVERS)
    return found


def smoothed(loads: Sequence[float], ahead: int) -> tuple[float, float]:
    """Level now, and so many steps ahead, of a series without holes, the oldest first. Neither is below 0."""
    if not loads:
        return 0.0, 0.0
    level, trend = loads[0], 0.0
    for load in loads[1:]:
        before = level
        level = LEVEL * load + (1 - LEVEL) * (level + DAMPED * trend)
        trend = TREND * (level - before) + (1 - TREND) * DAMPED * trend
    rise = trend * sum(DAMPED**step for step in range(1, ahead + 1))
    return max(0.0, level), max(0.0, level + rise)


def daily_rise(loads: Mapping[int, float], now: int, ahead: int, known_since: int) -> float | None:
    """By how much the load rose, in the mean of the days before, from this time of day to ``ahead`` seconds later; ``None`` where too little is known."""
    total = weight = 0.0
    days = 0
    for day in range(1, DAYS + 1):
        then = now - day * DAY
        if then - AROUND * MINUTE < known_since:
            break
        before = _mean(loads, then - AROUND * MINUTE, then)
        after = _mean(loads, then + ahead - AROUND * MINUTE // 4, then + ahead + AROUND * MINUTE // 4)
        counted = SAME_WEEKDAY if day == DAYS else 1.0
        total, weight, days = total + counted * (after - before), weight + counted, days + 1
    return total / weight if days >= LEAST_DAYS else None


def forecast(loads: Mapping[int, float], now: int, *, ahead: int, known_since: int, minutes: int = 30) -> Forecast:
    """``loads``: by minute, as `by_minute` returns them; a minute that is missing had none. ``known_since``: nothing is known of what was before."""
    last = now - now % MINUTE
    first = max(last - minutes * MINUTE, known_since - known_since % MINUTE)
    recent = [loads.get(at, 0.0) for at in range(first, last, MINUTE)]
    level, trend = smoothed(recent, max(1, round(ahead / MINUTE)))
    rise = daily_rise(loads, last, ahead, known_since)
    return Forecast(level, trend, None if rise is None else max(0.0, level + rise))


def _mean(loads: Mapping[int, float], begin: int, end: int) -> float:
    begin -= begin % MINUTE
    count = max(1, (end - begin) // MINUTE)
    return sum(loads.get(begin + step * MINUTE, 0.0) for step in range(count)) / count

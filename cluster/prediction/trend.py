"""Where a measured value goes: its slope with an interval of confidence, after steps were taken out of it; and when it reaches a limit. Pure.

The slope is Theil and Sen's: the median of the slopes between all pairs of values, with the interval that Kendall's test gives. What lies far off does not move it.
It gives what `scipy.stats.theilslopes` does where no two values are the same (tests/prediction compares them), which takes two milliseconds for checks around the 30 microseconds of work: too many for a fleet.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

Array = np.ndarray[Any, np.dtype[np.float64]]

CONFIDENCE = 0.95
MOST_POINTS = 36
"""Medians of neighbours, into which longer series are folded before each pair of them is compared."""
STEP_NOISES = 6.0
"""So many times the usual change from one value to the next is a step, which a trend does not make."""
MOST_STEPS = 3
"""Steps of one series that are taken out; more are how the value grows."""
MAD = 1.4826
"""A standard deviation of normally distributed values, by their median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Trend:
    """``slope`` a second, between ``low`` and ``high`` with 95 % confidence; ``value``: where the last values are. ``late``: the slope of the newer half, as a part of that of the older one."""

    value: float
    slope: float
    low: float
    high: float
    late: float


def without_steps(values: Array, least: float) -> Array:
    """The values as they would be without their steps: changes far above the usual ones, and above ``least``."""
    changes = np.diff(values)
    usual = middle(changes.tolist())
    noise = MAD * middle(np.abs(changes - usual).tolist())
    steps = np.abs(changes - usual) > max(STEP_NOISES * noise, least)
    if not steps.any():
        return values
    # What changes by a step at several values in a row, such as a disk while a model is fetched, is one step.
    starts = steps & ~np.concatenate(([False], steps[:-1]))
    if int(starts.sum()) > MOST_STEPS:
        return values
    kept = np.where(steps, usual, changes)
    # The newest values stay as they are: it is asked when they reach a limit.
    return np.asarray(values[-1] - np.concatenate((np.cumsum(kept[::-1])[::-1], [0.0])))


def folded(times: Array, values: Array) -> tuple[Array, Array]:
    """At most `MOST_POINTS`: the medians of as many neighbours as it takes."""
    width = -(-len(values) // MOST_POINTS)
    if width <= 1:
        return times, values
    kept = len(values) // width * width
    return (
        np.median(times[-kept:].reshape(-1, width), axis=1),
        np.median(values[-kept:].reshape(-1, width), axis=1),
    )


@functools.cache
def _pairs(count: int) -> tuple[np.ndarray[Any, np.dtype[np.intp]], np.ndarray[Any, np.dtype[np.intp]], int, int]:
    """Of each pair the older and the newer one; and the places of the interval's ends among the sorted slopes."""
    older, newer = np.triu_indices(count, 1)
    apart = float(ndtri(0.5 + CONFIDENCE / 2)) * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    pairs = len(older)
    return older, newer, max(round((pairs - apart) / 2) - 1, 0), min(round((pairs + apart) / 2), pairs - 1)


def slopes(x: Array, y: Array) -> tuple[float, float, float]:
    """The slope, and the ends of its interval; ``x`` rises."""
    older, newer, low, high = _pairs(len(x))
    found = np.sort((y[newer] - y[older]) / (x[newer] - x[older]))
    middle = len(found) // 2
    slope = found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2
    return float(slope), float(found[low]), float(found[high])


def middle(values: list[float]) -> float:
    """The upper median, which needs no library's checks."""
    return sorted(values)[len(values) // 2]


def trend(times: Array, values: Array, *, step: float | None) -> Trend:
    """Of at least six values, none of which is missing. ``step``: the least change that may be a step; ``None``: nothing is one."""
    if step is not None:
        values = without_steps(values, step)
    x, y = folded(times, values)
    slope, low, high = slopes(x, y)
    half = len(y) // 2
    older, newer = _plain_slope(x[:half], y[:half]), _plain_slope(x[half:], y[half:])
    late = newer / older if older * slope > 0 else (2.0 if newer * slope > 0 else 0.0)
    newest = values[-5:].tolist()
    value = middle(newest) + slope * float(times[-1] - times[-len(newest) :].sum() / len(newest))
    return Trend(value, slope, low, high, max(-9.0, min(9.0, late)))


def _plain_slope(x: Array, y: Array) -> float:
    """Between the medians of the first and the last third."""
    third = max(1, len(y) // 3)
    span = middle(x[-third:].tolist()) - middle(x[:third].tolist())
    return (middle(y[-third:].tolist()) - middle(y[:third].tolist())) / span if span > 0 else 0.0


def seconds_to(found: Trend, limit: float, *, rises: bool = True) -> tuple[float, float] | None:
    """When it reaches a limit, most likely and at the latest; ``None`` where it is not sure that it goes there."""
    left = limit - found.value if rises else found.value - limit
    toward, surely = (found.slope, found.low) if rises else (-found.slope, -found.high)
    if toward <= 0 or surely <= 0:
        return None
    return max(0.0, left) / toward, max(0.0, left) / surely

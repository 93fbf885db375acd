"""What a run of a chaos experiment measured: figures of each phase, the difference that the fault made with its interval, and whether the hypothesis held. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from cluster.experiments.terms import Hypothesis

RESAMPLES = 1000
LEAST_PAIRS = 2
"""Pairs that an interval needs: what one says of the next, nobody knows."""
LEVEL = 0.95
MOST_ANSWERS = 500
"""Of a phase, that are drawn from in each resample: of more, so many by chance."""
Verdict = Literal["held", "broken", "no_data"]


class CountedRequest(msgspec.Struct, frozen=True):
    """One request that ended: ``failed``, and the milliseconds until its first token (``None``: it had none)."""

    failed: bool
    first_token_ms: float | None


class PhaseFigures(msgspec.Struct, frozen=True):
    """``lost_before_token`` of the failed had no token at all. ``None``: no data."""

    requests: int
    failed: int
    lost_before_token: int
    failed_share: float | None
    first_token_p95_ms: float | None


class PhaseDifference(msgspec.Struct, frozen=True):
    """With the fault less without it: the mean over the pairs, and the interval that holds it with 95 % confidence (``None``: fewer than two pairs have data)."""

    pairs: int
    mean: float | None
    low: float | None
    high: float | None


class Judged(msgspec.Struct, frozen=True):
    """One bound of the hypothesis: what was allowed, and what was measured with the fault (``None``: no data)."""

    figure: str
    allowed: float
    measured: float | None
    verdict: Verdict


class RunReport(msgspec.Struct, frozen=True):
    """``phases`` in the order of the run's; of a control group of nodes, ``controls`` are the figures of those nodes in the same phases."""

    phases: tuple[PhaseFigures, ...]
    controls: tuple[PhaseFigures, ...]
    failed_share: PhaseDifference
    first_token_p95_ms: PhaseDifference
    judged: tuple[Judged, ...]
    verdict: Verdict


@dataclass(frozen=True)
class Pair:
    """The requests of a pair's phases."""

    control: Sequence[CountedRequest]
    fault: Sequence[CountedRequest]


def figures_of(requests: Sequence[CountedRequest]) -> PhaseFigures:
    failed = sum(each.failed for each in requests)
    lost = sum(each.failed and each.first_token_ms is None for each in requests)
    return PhaseFigures(len(requests), failed, lost, _share(requests), _p95(requests))


def compare(pairs: Sequence[Pair], rng: random.Random) -> tuple[PhaseDifference, PhaseDifference]:
    """Of the share of failed requests, and of the time to the first token (95th percentile)."""
    return _difference(pairs, _share, rng), _difference(pairs, _p95, rng)


def judge(
    hypothesis: Hypothesis, suffered: Sequence[CountedRequest], recoveries: Sequence[float | None]
) -> tuple[tuple[Judged, ...], Verdict]:
    """``suffered``: all requests of the phases with the fault; ``recoveries``: of each of them the seconds, ``None`` where it was not seen to recover."""
    known = [each for each in recoveries if each is not None]
    worst = max(known) if known and len(known) == len(recoveries) else None
    measured = {
        "failed_share": _share(suffered),
        "first_token_p95_ms": _p95(suffered),
        "recovery_seconds": worst,
    }
    found = []
    for figure, value in measured.items():
        allowed = getattr(hypothesis, figure)
        if allowed is not None:
            verdict: Verdict = "no_data" if value is None else "held" if value <= allowed else "broken"
            found.append(Judged(figure, allowed, None if value is None else round(value, 4), verdict))
    verdicts = {each.verdict for each in found}
    whole: Verdict = "broken" if "broken" in verdicts else "no_data" if "no_data" in verdicts or not found else "held"
    return tuple(found), whole


def _share(requests: Sequence[CountedRequest]) -> float | None:
    return sum(each.failed for each in requests) / len(requests) if requests else None


def _p95(requests: Sequence[CountedRequest]) -> float | None:
    times = sorted(each.first_token_ms for each in requests if each.first_token_ms is not None)
    return times[min(len(times) - 1, int(0.95 * len(times)))] if times else None


def _difference(
    pairs: Sequence[Pair], figure: Callable[[Sequence[CountedRequest]], float | None], rng: random.Random
) -> PhaseDifference:
    """A bootstrap in two steps: pairs are drawn again, and within each of them its requests."""
    usable = [pair for pair in pairs if figure(pair.control) is not None and figure(pair.fault) is not None]
    means = [each for pair in usable if (each := _apart(pair, figure)) is not None]
    if not means:
        return PhaseDifference(0, None, None, None)
    mean = sum(means) / len(means)
    if len(usable) < LEAST_PAIRS:
        return PhaseDifference(len(usable), mean, None, None)
    drawn = [Pair(_some(pair.control, rng), _some(pair.fault, rng)) for pair in usable]
    found = []
    for _ in range(RESAMPLES):
        again = [
            Pair(rng.choices(pair.control, k=len(pair.control)), rng.choices(pair.fault, k=len(pair.fault)))
            for pair in rng.choices(drawn, k=len(drawn))
        ]
        values = [each for pair in again if (each := _apart(pair, figure)) is not None]
        if values:
            found.append(sum(values) / len(values))
    found.sort()
    tail = (1 - LEVEL) / 2
    low, high = found[int(tail * len(found))], found[min(len(found) - 1, int((1 - tail) * len(found)))]
    return PhaseDifference(len(usable), mean, min(low, mean), max(high, mean))


def _apart(pair: Pair, figure: Callable[[Sequence[CountedRequest]], float | None]) -> float | None:
    control, fault = figure(pair.control), figure(pair.fault)
    return None if control is None or fault is None else fault - control


def _some(requests: Sequence[CountedRequest], rng: random.Random) -> Sequence[CountedRequest]:
    return requests if len(requests) <= MOST_ANSWERS else rng.sample(requests, MOST_ANSWERS)

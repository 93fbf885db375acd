"""NodeOutlook: what a detector sees coming on one node, before it is decided whether that is worth a warning. The detectors are here. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from scipy.special import bdtrc, pdtrc

from cluster.prediction.series import EVERY, GpuSeries, NodeSeries, ReadingSeries
from cluster.prediction.thresholds import Detector
from cluster.prediction.trend import middle, seconds_to, trend
from ollamamax.contract.health import Value

MINUTE = 60.0
LONG, SHORT = 30 * MINUTE, 10 * MINUTE
"""Over which a trend is looked for: slow ones over the longer time, quick ones over the shorter."""
SHORT_WITHIN = 15.0
"""Minutes: the shorter time says nothing of what is further away."""
FAR = 240.0
"""Minutes beyond which nothing is said."""
ROUGH = 1.5
"""So many times further away by the plainest estimate, no closer look is taken."""
LEAST_POINTS = 8
FULL = {"disk": 1.0, "memory": 0.985, "gpu_memory": 0.99}
"""Shares at which programs are refused more, or ended."""
LEAST_SKEW, MOST_SKEW = 0.05, 5.0
SLOW_LIMIT = math.log(0.3)
"""Where an engine that becomes slower is taken for one that hangs."""
LOST_RATE = 20 / MINUTE
"""Corrected memory errors a second at which cards are lost."""
FAILING_SHARE = 0.5
COUNTED = 16 * MINUTE
"""Over which errors are counted, in two halves and four quarters."""
LEAST_APART = 5
"""Readings with errors: what comes at once is no growth."""
MOST_JUMP = 6.0
"""From one quarter of the time to the next: requests that fail so many times as often all at once are a fault already, or a client that sends what cannot be answered."""
MOST_SIZE = 300.0


@dataclass(frozen=True, slots=True)
class NodeOutlook:
    """The limit is reached in ``minutes``, and in ``latest`` at the latest. ``of`` tells cards apart. ``size`` and ``late`` as in `Thresholds`."""

    detector: Detector
    of: str
    minutes: float
    latest: float
    size: float
    late: float
    values: dict[str, Value] = field(default_factory=dict)


def unmeasured(node: NodeSeries) -> set[tuple[Detector, str]]:
    """What the newest reading says nothing of: no request was written, no card was busy, models came to the disk. That is no reason to give a warning up."""
    series: list[tuple[Detector, str, ReadingSeries]] = [
        ("disk_full", "", node.disk),
        ("memory_full", "", node.memory),
        ("clock_skew", "", node.skew),
        ("engine_slow", "", node.slowness),
    ]
    for index, gpu in node.gpus.items():
        series += [("gpu_memory_full", str(index), gpu.memory), ("gpu_hot", str(index), gpu.excess)]
    return {(detector, of) for detector, of, each in series if math.isnan(each.newest)}


def outlooks(node: NodeSeries) -> Iterable[NodeOutlook]:
    """What is coming on a node by its readings so far: nothing most of the time."""
    yield from _share(node, "disk_full", "", node.disk, FULL["disk"], step=0.002)
    yield from _share(node, "memory_full", "", node.memory, FULL["memory"], step=0.01)
    yield from _clock(node)
    yield from _slower(node)
    yield from _failing(node)
    for index, gpu in node.gpus.items():
        of = str(index)
        yield from _share(node, "gpu_memory_full", of, gpu.memory, FULL["gpu_memory"], step=0.01)
        yield from _hot(node, of, gpu)
        yield from _memory_errors(node, of, gpu)


def _share(
    node: NodeSeries, detector: Detector, of: str, series: ReadingSeries, limit: float, step: float
) -> Iterable[NodeOutlook]:
    now = series.newest
    if math.isnan(now) or now < 0.1:
        return
    best: NodeOutlook | None = None
    for seconds in (SHORT, LONG):
        furthest = (SHORT_WITHIN if seconds == SHORT else FAR) * MINUTE
        if not node.is_near(series, seconds, limit, ROUGH * furthest):
            continue
        times, values = node.window(series, seconds)
        if len(values) < LEAST_POINTS or -times[0] < 0.8 * seconds - 2 * EVERY:
            continue
        found = trend(times, values, step=step)
        due = seconds_to(found, limit)
        if due is None:
            continue
        minutes, latest = due[0] / MINUTE, due[1] / MINUTE
        if 60 * latest > furthest:
            continue
        grew = found.slope * -float(times[0])
        if best is None or latest < best.latest:
            measured: dict[str, Value] = {
                "percent": round(100 * now, 1),
                "percent_an_hour": round(360_000 * found.slope, 1),
                "over_minutes": round(-float(times[0]) / MINUTE),
            }
            best = NodeOutlook(detector, of, minutes, latest, min(grew, 1.0), found.late, measured)
    if best is not None:
        yield best


def _clock(node: NodeSeries) -> Iterable[NodeOutlook]:
    now = node.skew.newest
    if math.isnan(now) or abs(now) < LEAST_SKEW:
        return
    if not node.is_near(node.skew, LONG, math.copysign(MOST_SKEW, now), ROUGH * FAR * MINUTE):
        return
    times, values = node.window(node.skew, LONG)
    if len(values) < LEAST_POINTS or -times[0] < LONG / 2:
        return
    found = trend(times, values, step=0.2)
    due = seconds_to(found, math.copysign(MOST_SKEW, now), rises=now > 0)
    if due is not None and due[1] <= FAR * MINUTE:
        drifts = {
            "seconds": round(now, 3),
            "seconds_an_hour": round(3600 * found.slope, 2),
            "over_minutes": round(-float(times[0]) / MINUTE),
        }
        yield NodeOutlook(
            "clock_skew", "", due[0] / MINUTE, due[1] / MINUTE, abs(found.slope * times[0]), found.late, dict(drifts)
        )


def _slower(node: NodeSeries) -> Iterable[NodeOutlook]:
    now = _middle(node.slowness)
    if not now < -0.05:
        return
    beyond = now <= SLOW_LIMIT
    best: NodeOutlook | None = None
    for seconds in (LONG / 3, LONG):
        if not beyond and not node.is_near(node.slowness, seconds, SLOW_LIMIT, ROUGH * FAR * MINUTE):
            continue
        times, values = node.window(node.slowness, seconds)
        if len(values) < LEAST_POINTS or -times[0] < seconds / 2:
            continue
        found = trend(times, values, step=None)
        due = (0.0, 0.0) if beyond else seconds_to(found, SLOW_LIMIT, rises=False)
        if due is None or due[1] > FAR * MINUTE:
            continue
        if best is None or due[1] / MINUTE < best.latest:
            told: dict[str, Value] = {
                "percent_of_usual": round(100 * math.exp(found.value)),
                "percent_an_hour": round(100 * (math.exp(max(-9.0, 3600 * found.slope)) - 1)),
                "over_minutes": round(-float(times[0]) / MINUTE),
            }
            best = NodeOutlook(
                "engine_slow", "", due[0] / MINUTE, due[1] / MINUTE, -found.value, 1.0 if beyond else found.late, told
            )
    if best is not None:
        yield best


def _hot(node: NodeSeries, of: str, gpu: GpuSeries) -> Iterable[NodeOutlook]:
    if math.isnan(gpu.expected):
        return
    above = _middle(gpu.excess)
    if not above > 1.5:
        return
    # As soon as much runs: where little does now, that may be later.
    beyond = gpu.expected + above >= gpu.slowdown
    best: NodeOutlook | None = None
    for seconds in (LONG / 3, LONG):
        if not beyond and not node.is_near(gpu.excess, seconds, gpu.slowdown - gpu.expected, ROUGH * FAR * MINUTE):
            continue
        times, values = node.window(gpu.excess, seconds)
        if len(values) < LEAST_POINTS or -times[0] < seconds / 2:
            continue
        found = trend(times, values, step=None)
        due = (0.0, 0.0) if beyond else seconds_to(found, gpu.slowdown - gpu.expected)
        if due is None or due[1] > FAR * MINUTE:
            continue
        if best is None or due[1] / MINUTE < best.latest:
            warm: dict[str, Value] = {
                "gpu": int(of),
                "degrees_above_usual": round(found.value, 1),
                "degrees_an_hour": round(3600 * found.slope, 1),
                "usual_at_full_power": round(gpu.expected, 1),
                "slowdown_celsius": gpu.slowdown,
                "over_minutes": round(-float(times[0]) / MINUTE),
            }
            best = NodeOutlook(
                "gpu_hot", of, due[0] / MINUTE, due[1] / MINUTE, found.value, 1.0 if beyond else found.late, warm
            )
    if best is not None:
        yield best


def _middle(series: ReadingSeries) -> float:
    """The median of the last five values; `NONE` where fewer than two are there."""
    recent = [each for each in series.last(5).tolist() if not math.isnan(each)]
    return middle(recent) if len(recent) > 1 else math.nan


def _memory_errors(node: NodeSeries, of: str, gpu: GpuSeries) -> Iterable[NodeOutlook]:
    count = round(COUNTED / EVERY)
    if not gpu.corrected.newest - gpu.corrected.before(count) >= LEAST_APART:
        return
    total = gpu.corrected.last(count + 1).tolist()
    counts = [after - before for before, after in itertools.pairwise(total)]
    # A driver that was loaded anew counts from 0.
    if len(counts) < count or not all(each >= 0 for each in counts):
        return
    quarters = _quarters(counts)
    older, newer = quarters[0] + quarters[1], quarters[2] + quarters[3]
    usual = max(0.0 if math.isnan(gpu.corrected_rate) else gpu.corrected_rate, 1e-4)
    growth = math.log((newer + 0.5) / (older + 0.5))
    error = math.sqrt(1 / (older + 0.5) + 1 / (newer + 0.5))
    found = _reaches(math.log(LOST_RATE * COUNTED / 2 / (newer + 0.5)), growth, error, COUNTED / 2)
    if found is None or sum(each > 0 for each in counts) < LEAST_APART:
        return
    late = min((newer + 0.5) / (older + 0.5), (quarters[3] + 0.5) / (quarters[2] + 0.5))
    told: dict[str, Value] = {
        "gpu": int(of),
        "corrected": int(older + newer),
        "of_these_in_the_newer_half": int(newer),
        "usual": round(usual * COUNTED, 1),
        "over_minutes": round(COUNTED / MINUTE),
    }
    size = _unlikely(float(pdtrc(older + newer - 1, usual * COUNTED)))
    yield NodeOutlook("gpu_memory_errors", of, *found, size, late, told)


def _failing(node: NodeSeries) -> Iterable[NodeOutlook]:
    count = round(COUNTED / EVERY)
    if len(node.times) < count or not node.failed.newest >= 0:
        return
    failed = node.failed.last(count).tolist()
    if sum(each > 0 for each in failed) < LEAST_APART:
        return
    asked = [each + more for each, more in zip(failed, node.ok.last(count).tolist(), strict=True)]
    bad, all_ = _quarters(failed), _quarters(asked)
    shares = [(each + 0.5) / (some + 1) for each, some in zip(bad, all_, strict=True)]
    older, newer = bad[0] + bad[1], bad[2] + bad[3]
    of_older, of_newer = all_[0] + all_[1], all_[2] + all_[3]
    if not of_older or not of_newer:
        return
    usual = max(node.usual_failed, 0.005)
    before, now = (older + 0.5) / (of_older + 1), (newer + 0.5) / (of_newer + 1)
    if max(after / then for then, after in itertools.pairwise(shares)) > MOST_JUMP:
        return
    error = math.sqrt(1 / (older + 0.5) + 1 / (newer + 0.5))
    found = _reaches(math.log(FAILING_SHARE / now), math.log(now / before), error, COUNTED / 2)
    if found is None:
        return
    told: dict[str, Value] = {
        "failed": int(older + newer),
        "requests": int(of_older + of_newer),
        "percent_before": round(100 * older / of_older, 1),
        "percent": round(100 * newer / of_newer, 1),
        "usual_percent": round(100 * usual, 1),
        "over_minutes": round(COUNTED / MINUTE),
    }
    size = _unlikely(float(bdtrc(older + newer - 1, of_older + of_newer, usual)))
    yield NodeOutlook("engine_failing", "", *found, size, min(now / before, shares[3] / shares[2]), told)


def _quarters(counts: list[float]) -> list[float]:
    each = len(counts) // 4
    return [sum(counts[number * each : (number + 1) * each]) for number in range(4)]


def _reaches(left: float, growth: float, error: float, seconds: float) -> tuple[float, float] | None:
    """Minutes, most likely and at the latest, until a logarithm that grew by ``growth``, give or take ``error``, in ``seconds`` has grown by ``left``."""
    if growth <= 0:
        return None
    surely = max(growth - error, 0.25 * growth)
    minutes, latest = max(0.0, left) / growth * seconds / MINUTE, max(0.0, left) / surely * seconds / MINUTE
    return (minutes, latest) if latest <= FAR else None


def _unlikely(probability: float) -> float:
    """Of how many powers of ten it is less likely than not that this comes by chance."""
    return MOST_SIZE if probability <= 0 else min(MOST_SIZE, -math.log10(probability))

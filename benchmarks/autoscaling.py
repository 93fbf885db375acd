"""Autoscaling against an oracle and against scaling by queue depth: minutes out of objective and replica-hours on simulated days.

What is ours was fixed on the training traces. Scaling by queue depth gets, on each trace by itself, the best of all its thresholds that takes no more
replica-hours than ours: it is better than anybody could set it beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from benchmarks import load_shapes
from benchmarks.load_shapes import (
    DAYS_BEFORE,
    EVERY,
    LOAD_SECONDS,
    MINUTE,
    SERVICE,
    SHAPES,
    SHARE,
    SLOTS,
    WAIT,
    Policy,
    Result,
    Seen,
    Trace,
    simulate,
    trace,
)
from cluster.autoscaling.decision import STRICTER, MeasuredLoad, ScalingObjective, ScalingRecommendation, decide
from cluster.autoscaling.forecast import forecast
from cluster.autoscaling.queueing import replicas_for

GOAL = 0.5
"""Minutes out of objective, of those of queue-depth scaling."""
SLACK = 1.01
"""Replica-hours that count as no more."""
WINDOWS = (60.0, 300.0, 900.0)
HALVINGS = 6
TRAINING, HELD_OUT = (1, 2, 3), (201,)
"""Seeds. Some days of seeds from 101 on were looked at while this was built, so they are neither."""


@dataclass(frozen=True)
class Ours:
    cool_down: float = 600.0
    ahead: int = 300


CHOICES = tuple(Ours(cool_down, ahead) for cool_down in (180.0, 300.0, 600.0) for ahead in (120, 300))


def ours(setting: Ours) -> Policy:
    """As the product decides, with what it would have measured."""
    objective = ScalingObjective(wait=WAIT, share=SHARE, cool_down=setting.cool_down, zero_after=None)
    held: list[tuple[ScalingRecommendation, ...]] = []
    before = 0

    def decided(seen: Seen) -> int:
        nonlocal before
        growth, before = (seen.running + seen.waiting - before) / EVERY, seen.running + seen.waiting
        found = decide(objective, _measured(seen, setting, growth), held[-1] if held else None, seen.now)
        held[:] = [found.recent]
        return seen.replicas if found.wanted is None else found.wanted

    return decided


def _measured(seen: Seen, setting: Ours, growth: float) -> MeasuredLoad:
    load = forecast(seen.loads, int(seen.now), ahead=setting.ahead, known_since=0)
    service = seen.ended_seconds / seen.ended if seen.ended else SERVICE
    return MeasuredLoad(
        seen.now, load, service, running=seen.running, waiting=seen.waiting, growth=growth, idle=seen.now - seen.last, replicas=seen.replicas, slots=SLOTS
    )  # fmt: skip


def by_waiting(threshold: float, window: float) -> Policy:
    """Queue depth: a replica more for so many that wait; the highest wish of the window counts, as Kubernetes' autoscaler has it."""
    return _stabilised(
        lambda seen: seen.replicas + math.ceil(seen.waiting / (threshold * SLOTS)) if seen.waiting else _less(seen),
        window,
    )


def by_in_flight(target: float, window: float) -> Policy:
    """Queue depth with what runs: so many requests for each replica."""
    return _stabilised(lambda seen: math.ceil((seen.running + seen.waiting) / target), window)


def _less(seen: Seen) -> int:
    """Nothing waits: as many as run now need."""
    return math.ceil(seen.running / SLOTS)


def _stabilised(wish: Policy, window: float) -> Policy:
    wishes: list[tuple[float, int]] = []

    def decided(seen: Seen) -> int:
        wished = wish(seen)
        wishes[:] = [each for each in wishes if seen.now - each[0] < window and each[1] > wished] + [(seen.now, wished)]
        return max(1, wishes[0][1])

    return decided


def oracle(made: Trace) -> Policy:
    """Knows the rate of every minute of the day, and sizes as ours does for the highest until a replica that is ordered now would serve."""
    needs = _needs(made)

    def decided(seen: Seen) -> int:
        first = _minute(seen)
        last = first + math.ceil((LOAD_SECONDS + EVERY) / MINUTE)
        return max(needs[first : last + 1])

    return decided


def without_foresight(made: Trace) -> Policy:
    """A floor for who does not know what comes: sees the true rate of the minute as soon as it is there, and orders all there is when its replicas fall short."""
    needs = _needs(made)

    def decided(seen: Seen) -> int:
        now = needs[_minute(seen)]
        return load_shapes.MOST if seen.waiting or now > seen.ready else now + 1

    return decided


def _needs(made: Trace) -> list[int]:
    late = (1 - SHARE) / STRICTER
    return [replicas_for(rate * SERVICE, slots=SLOTS, service=SERVICE, wait=WAIT, late=late) for rate in made.rates]


def _minute(seen: Seen) -> int:
    return (int(seen.now) - DAYS_BEFORE * load_shapes.DAY) // MINUTE


@dataclass
class Row:
    shape: str
    ours: Result
    depth: Result
    """The best with no more replica-hours; where none takes so few, the one that takes the fewest."""
    oracle: Result
    floor: Result
    over: bool
    """Whether it takes more replica-hours than ours."""


def compared(made: Trace, setting: Ours) -> Row:
    mine = simulate(made, ours(setting), _start(made))
    within, fewest = best_depth(made, mine.hours * SLACK)
    known, floor = (simulate(made, policy(made), _start(made)) for policy in (oracle, without_foresight))
    return Row(made.shape, mine, within or fewest, known, floor, within is None)


def _held_out(which: tuple[str, int]) -> Row:
    return compared(trace(*which), Ours())


def best_depth(made: Trace, hours: float) -> tuple[Result | None, Result]:
    """Of all thresholds and windows of both kinds the fewest minutes out of objective with no more replica-hours; and the fewest replica-hours of any."""
    found = [
        each
        for policy, least, most in ((by_waiting, 0.05, 8.0), (by_in_flight, 1.0, 4.5))
        for window in WINDOWS
        for each in _halved(made, policy, window, least, most, hours)
    ]
    within = [each for each in found if each.hours <= hours]
    best = min(within, key=lambda each: (each.out, each.hours)) if within else None
    return best, min(found, key=lambda each: each.hours)


def _halved(
    made: Trace, policy: Callable[[float, float], Policy], window: float, least: float, most: float, hours: float
) -> Iterable[Result]:
    """The higher the threshold, the fewer replica-hours: the lowest one that takes no more than so many, by halving."""
    yield simulate(made, policy(most, window), _start(made))
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        found = simulate(made, policy(middle, window), _start(made))
        yield found
        least, most = (least, middle) if found.hours <= hours else (middle, most)


def _start(made: Trace) -> int:
    return replicas_for(made.rates[0] * SERVICE, slots=SLOTS, service=SERVICE, wait=WAIT, late=1 - SHARE)


def chosen(seeds: Iterable[int]) -> tuple[Ours, list[tuple[Ours, float]]]:
    """The setting with the fewest minutes out of objective, of those of queue depth at equal replica-hours, on all training traces together."""
    traces = [trace(shape, seed) for shape in SHAPES for seed in seeds]
    scores = [(choice, ratio(compared(made, choice) for made in traces)) for choice in CHOICES]
    return min(scores, key=lambda each: each[1])[0], scores


def ratio(rows: Iterable[Row]) -> float:
    rows = list(rows)
    return sum(each.ours.out for each in rows) / max(1, sum(each.depth.out for each in rows))


@dataclass
class Found:
    rows: list[Row]
    scores: list[tuple[Ours, float]] = field(default_factory=list)


def measure(train: bool) -> Found:
    """``train``: choose on the training traces, and tell how each setting did there. The held-out traces are run with the product's defaults either way."""
    if train:
        return Found([], chosen(TRAINING)[1])
    rows = []
    with ProcessPoolExecutor() as processes:
        for row in processes.map(_held_out, [(shape, seed) for shape in SHAPES for seed in HELD_OUT]):
            rows.append(row)
            print(_line(row.shape, [row]), flush=True)  # each takes minutes
    return Found(rows)


def report(found: Found) -> str:
    if found.scores:
        return "\n".join(
            ["| cool-down | looked ahead | minutes out, of those of queue depth |", "|---|---|---|"]
            + [f"| {each.cool_down:.0f} s | {each.ahead} s | {score:.0%} |" for each, score in found.scores]
        )
    lines = [
        f"At most {1 - SHARE:.0%} of a minute's requests wait longer than {WAIT:g} s; {len(HELD_OUT)} held-out day(s) of each shape",
        "",
        "| shape | minutes out: ours | queue depth | oracle | without foresight | replica-hours: ours | queue depth | oracle | without foresight | changes a day: ours | queue depth |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_line(shape, [each for each in found.rows if each.shape == shape]) for shape in SHAPES),
        _line("all", found.rows),
        "",
        f"{ratio(found.rows):.0%} of the minutes out of objective of queue-depth scaling (goal: {GOAL:.0%})",
    ]
    return "\n".join(lines)


def _line(shape: str, rows: list[Row]) -> str:
    kinds = [
        [each.ours for each in rows],
        [each.depth for each in rows],
        [each.oracle for each in rows],
        [each.floor for each in rows],
    ]
    outs = [f"{sum(each.out for each in kind):,}" for kind in kinds]
    hours = [f"{sum(each.hours for each in kind):,.0f}" for kind in kinds]
    changes = [f"{sum(each.changes for each in kind) / len(rows):.0f}" for kind in kinds[:2]]
    return f"| {shape} | {' | '.join(outs + hours + changes)} |"

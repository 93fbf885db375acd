"""Load shapes for the autoscaling benchmark, and a simulated clock that runs requests of such a load through replicas, whose number a policy decides."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

DAY = 86_400
MINUTE = 60
DAYS_BEFORE = 7
SLOTS = 4
SERVICE = 8.0
"""Mean seconds of a request in its slot; log-normal with `SIGMA`."""
SIGMA = 0.8
LOAD_SECONDS = 45.0
"""From the order until a replica serves."""
EVERY = 15
"""Seconds from one decision to the next."""
WAIT, SHARE = 2.0, 0.95
"""The objective: of each minute's requests this share waits no longer than so many seconds."""
MOST = 40
SHAPES = ("steady", "spike", "diurnal", "ramp")


@dataclass
class Trace:
    """``before``: load by minute of the days before, in erlangs, as the history has it. ``arrivals``: when each request of the day comes, and its seconds."""

    shape: str
    seed: int
    rates: list[float]
    before: dict[int, float]
    arrivals: list[tuple[float, float]]


def trace(shape: str, seed: int) -> Trace:
    """The day from `DAYS_BEFORE` days on, in seconds since the first of them; ``rates``: requests a second, by its minutes."""
    rng = random.Random(f"{shape} {seed}")
    peak = rng.uniform(12.0, 24.0) / SERVICE
    days = [_rates(shape, rng, peak) for _ in range(DAYS_BEFORE + 1)]
    before: dict[int, float] = {}
    for day, rates in enumerate(days[:-1]):
        for minute, rate in enumerate(rates):
            count = _poisson(rng, rate * MINUTE)
            before[day * DAY + minute * MINUTE] = sum(_service(rng) for _ in range(count)) / MINUTE
    arrivals = []
    for minute, rate in enumerate(days[-1]):
        begin = DAYS_BEFORE * DAY + minute * MINUTE
        moments = sorted(rng.uniform(begin, begin + MINUTE) for _ in range(_poisson(rng, rate * MINUTE)))
        arrivals += [(at, _service(rng)) for at in moments]
    return Trace(shape, seed, days[-1], before, arrivals)


def _rates(shape: str, rng: random.Random, peak: float) -> list[float]:
    minutes = range(DAY // MINUTE)
    if shape == "steady":
        return [0.6 * peak for _ in minutes]
    if shape == "spike":
        # Out of nothing, at any time, each for some minutes.
        begins = [(rng.randrange(DAY // MINUTE), rng.randint(5, 20), rng.uniform(0.5, 1.0)) for _ in range(8)]
        tall = [0.2 * peak] * (DAY // MINUTE)
        for begin, length, height in begins:
            for minute in range(begin, min(begin + length, DAY // MINUTE)):
                tall[minute] = max(tall[minute], height * peak)
        return tall
    if shape == "diurnal":
        # Working hours with a steep morning, lunch, and a day that differs from the others by a fifth.
        factor = rng.uniform(0.8, 1.2)
        return [max(0.03, factor * _working_day(minute / 60)) * peak for minute in minutes]
    begin, length = rng.randrange(120, 900), rng.randint(20, 180)
    return [(0.15 + 0.85 * min(1.0, max(0.0, (minute - begin) / length))) * peak for minute in minutes]


def _working_day(hour: float) -> float:
    morning = 1.0 / (1.0 + math.exp(-(hour - 8.5) * 4))
    evening = 1.0 / (1.0 + math.exp((hour - 17.5) * 2))
    return morning * evening * (1.0 - 0.4 * math.exp(-(((hour - 12.5) / 0.5) ** 2)))


def _service(rng: random.Random) -> float:
    return rng.lognormvariate(math.log(SERVICE) - SIGMA * SIGMA / 2, SIGMA)


def _poisson(rng: random.Random, mean: float) -> int:
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count, product = count + 1, product * rng.random()
    return count


@dataclass
class Seen:
    """What a policy may know at ``now``. ``loads``: by minute, of requests that ended; ``ended``: how many did, and their seconds, so far."""

    now: float
    running: int
    waiting: int
    replicas: int
    ready: int
    loads: dict[int, float]
    ended: int
    ended_seconds: float
    last: float


Policy = Callable[[Seen], int]


@dataclass
class Result:
    out: int
    """Minutes in which the objective was not kept."""
    hours: float
    """Replica-hours, those included in which one is read into memory."""
    changes: int
    late: float
    """Share of all requests that waited too long."""


@dataclass
class _Clock:
    running: list[tuple[float, float]] = field(default_factory=list)
    queue: deque[tuple[float, float]] = field(default_factory=deque)
    loads: dict[int, float] = field(default_factory=dict)
    ended: int = 0
    ended_seconds: float = 0.0
    late: dict[int, list[int]] = field(default_factory=dict)

    def run(self, until: float, servers: int) -> None:
        """End what ends before then, and let what waits begin."""
        while self.running and self.running[0][0] <= until:
            at, seconds = heapq.heappop(self.running)
            minute = int(at) // MINUTE * MINUTE
            self.loads[minute] = self.loads.get(minute, 0.0) + seconds / MINUTE
            self.ended, self.ended_seconds = self.ended + 1, self.ended_seconds + seconds
            self.begin(at, servers)
        self.begin(until, servers)

    def begin(self, at: float, servers: int) -> None:
        while self.queue and len(self.running) < servers:
            came, seconds = self.queue.popleft()
            heapq.heappush(self.running, (at + seconds, seconds))
            counted = self.late.setdefault(int(came) // MINUTE, [0, 0])
            counted[0] += 1
            counted[1] += at - came > WAIT


def simulate(made: Trace, policy: Policy, replicas: int) -> Result:
    """The day, from so many replicas on. What leaves serves what runs there to its end."""
    clock, start = _Clock(loads=dict(made.before)), float(DAYS_BEFORE * DAY)
    ready, coming = replicas, list[float]()
    hours = changes = 0.0
    last = position = 0
    for step in range(DAY // EVERY):
        now = start + step * EVERY
        while coming and coming[0] <= now:
            coming.pop(0)
            ready += 1
        clock.run(now, ready * SLOTS)
        wanted = max(0, min(MOST, policy(Seen(
            now, len(clock.running), len(clock.queue), ready + len(coming), ready, clock.loads, clock.ended, clock.ended_seconds, last
        ))))  # fmt: skip
        changes += wanted != ready + len(coming)
        while ready + len(coming) < wanted:
            coming.append(now + LOAD_SECONDS)
        while ready + len(coming) > wanted:
            if coming:
                coming.pop()
            else:
                ready -= 1
        hours += (ready + len(coming)) * EVERY / 3600
        while position < len(made.arrivals) and made.arrivals[position][0] < now + EVERY:
            came, seconds = made.arrivals[position]
            clock.run(came, ready * SLOTS)
            clock.queue.append((came, seconds))
            clock.begin(came, ready * SLOTS)
            position, last = position + 1, int(came)
    clock.run(start + 2 * DAY, max(1, ready) * SLOTS)
    counts = clock.late.values()
    out = sum(late > (1 - SHARE) * count for count, late in counts)
    requests = sum(count for count, _ in counts)
    return Result(out, hours, int(changes), sum(late for _, late in counts) / max(1, requests))

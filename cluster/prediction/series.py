"""What prediction remembers of one node: the readings of the last hour, and what is usual for it. Bounded, and built anew from readings alone. Pure."""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cluster.prediction.reading import MOST_MODELS, NONE, GpuReading, NodeReading
from cluster.prediction.trend import Array

EVERY = 60.0
"""Seconds from one reading of a node to the next."""
MOST_READINGS = 60
LONGEST_GAP = 300.0
"""Seconds without a reading after which what was before says nothing of what comes."""
USUAL_HALF_LIFE = 4 * 3600.0
SETTLED_WATTS = 60.0
"""Seconds: a card is as warm as its power of about the last minute has it."""
ENOUGH_TOKENS = 2000.0
ENOUGH_POINTS = 30
"""Readings from which a card's warmth by power is known: half an hour."""
LEAST_LOAD = 0.4
"""Of its usual full power, below which a card's warmth says little of its cooling."""


class ReadingSeries:
    """The newest values, `NONE` where one is missing. Four bytes each."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = array("f")

    def __len__(self) -> int:
        return len(self._held)

    def put(self, value: float) -> None:
        self._held.append(value)
        if len(self._held) >= 2 * MOST_READINGS:
            del self._held[:MOST_READINGS]

    def last(self, count: int) -> Array:
        return np.array(self._held[-min(count, MOST_READINGS) :], dtype=np.float64)

    def ends(self, count: int) -> tuple[float, float]:
        """The means of the first and of the last three of the last ``count`` values; `NONE` where one of these is missing."""
        held = self._held
        first = max(0, len(held) - count)
        return sum(held[first : first + 3]) / 3, sum(held[-3:]) / 3

    @property
    def newest(self) -> float:
        return self._held[-1] if self._held else NONE

    def before(self, count: int) -> float:
        """The value of so many readings before the newest, or the oldest there is."""
        return self._held[-min(count + 1, len(self._held))] if self._held else NONE


@dataclass(slots=True)
class Warmth:
    """How warm a card is by its power: a straight line through its readings, in which older ones fade."""

    n: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    seen: int = 0

    def learn(self, watts: float, celsius: float, share: float) -> None:
        kept = 0.5 ** (EVERY / USUAL_HALF_LIFE)
        self.n = self.n * kept + share
        self.x = self.x * kept + share * watts
        self.y = self.y * kept + share * celsius
        self.xx = self.xx * kept + share * watts * watts
        self.xy = self.xy * kept + share * watts * celsius
        self.seen += 1

    def line(self) -> tuple[float, float] | None:
        """Degrees without power, and for each watt; ``None`` while too little, or too little that differs, is known."""
        if self.seen < ENOUGH_POINTS:
            return None
        mean_x, mean_y = self.x / self.n, self.y / self.n
        spread = self.xx / self.n - mean_x * mean_x
        if spread < 25.0:
            return None
        slope = (self.xy / self.n - mean_x * mean_y) / spread
        return (mean_y - slope * mean_x, slope) if slope > 0 else None


@dataclass(slots=True)
class GpuSeries:
    memory: ReadingSeries = field(default_factory=ReadingSeries)
    excess: ReadingSeries = field(default_factory=ReadingSeries)
    """Degrees above what is usual at this power, as they would be at full power; missing while little runs."""
    corrected: ReadingSeries = field(default_factory=ReadingSeries)
    warmth: Warmth = field(default_factory=Warmth)
    watts: float = NONE
    """Of about the last minute."""
    full: float = 0.0
    """The highest of these, lately."""
    slowdown: float = NONE
    expected: float = NONE
    """Degrees at full power, while it cools as usual."""
    corrected_rate: float = NONE
    """Usual corrected errors a second."""

    def put(self, reading: GpuReading, ambient: float) -> float:
        """``ambient``: degrees by which its peers are warmer than usual. Returns by how many this card is, or `NONE`."""
        self.memory.put(reading.memory)
        self.slowdown = reading.slowdown
        before = self.corrected.newest
        self.corrected.put(reading.corrected)
        if reading.corrected >= before:
            rate = (reading.corrected - before) / EVERY
            # What grows just now is no part of what is usual, beyond a few times that.
            usual = 0.0 if math.isnan(self.corrected_rate) else self.corrected_rate
            share = 1.0 - 0.5 ** (EVERY / USUAL_HALF_LIFE)
            self.corrected_rate = usual + share * (min(rate, 3.0 * usual + 0.002) - usual)
        return self._warm(reading, ambient)

    def _warm(self, reading: GpuReading, ambient: float) -> float:
        if math.isnan(reading.watts) or math.isnan(reading.celsius):
            self.excess.put(NONE)
            return NONE
        settled = 1.0 - math.exp(-EVERY / SETTLED_WATTS)
        self.watts = reading.watts if math.isnan(self.watts) else self.watts + settled * (reading.watts - self.watts)
        self.full = max(self.watts, self.full * 0.5 ** (EVERY / USUAL_HALF_LIFE))
        line = self.warmth.line()
        if line is None:
            self.warmth.learn(self.watts, reading.celsius, 1.0)
            self.excess.put(NONE)
            return NONE
        base, slope = line
        above = reading.celsius - (base + slope * self.watts)
        own = above - (0.0 if math.isnan(ambient) else ambient)
        self.expected = base + slope * self.full + (0.0 if math.isnan(ambient) else ambient)
        # What is warmer than usual just now is hardly learnt: it is what is looked for.
        self.warmth.learn(self.watts, reading.celsius, 1.0 if abs(own) < 2.0 else 0.1)
        loaded = self.watts >= LEAST_LOAD * self.full
        self.excess.put(own * self.full / self.watts if loaded else NONE)
        return above


@dataclass(slots=True)
class EngineSpeed:
    """The usual speed of one kind of request: the mean of its logarithm, in which older ones fade. ``weight`` in tokens."""

    log: float
    weight: float
    at: float


class NodeSeries:
    """Of one node."""

    __slots__ = ("disk", "failed", "gpus", "memory", "ok", "skew", "slowness", "speeds", "times", "usual_failed")

    def __init__(self) -> None:
        self.speeds: dict[str, EngineSpeed] = {}
        self.gpus: dict[int, GpuSeries] = {}
        self.usual_failed = 0.0
        """The usual share of requests that fail."""
        self._begin()

    def _begin(self) -> None:
        self.times: list[float] = []
        self.memory, self.disk, self.skew = ReadingSeries(), ReadingSeries(), ReadingSeries()
        self.ok, self.failed, self.slowness = ReadingSeries(), ReadingSeries(), ReadingSeries()

    def put(self, reading: NodeReading, ambient: Mapping[str, float]) -> dict[str, float]:
        """Bring it forward. ``ambient``: what peers have in common just now: ``warm`` and ``slow``. Returns the node's own part of the same."""
        if self.times and not 0.0 < reading.at - self.times[-1] <= LONGEST_GAP:
            self._begin()
            self.gpus = {}
        self.times.append(reading.at)
        del self.times[:-MOST_READINGS]
        self.memory.put(reading.memory)
        # What is fetched on purpose is no growth that goes on.
        self.disk.put(NONE if reading.fetching else reading.disk)
        self.skew.put(reading.skew)
        told: dict[str, float] = {}
        warm = []
        for gpu in reading.gpus:
            held = self.gpus.get(gpu.index)
            if held is None:
                held = self.gpus[gpu.index] = GpuSeries()
            warm.append(held.put(gpu, ambient.get("warm", NONE)))
        present = {gpu.index for gpu in reading.gpus}
        if len(self.gpus) > len(present):
            self.gpus = {index: held for index, held in self.gpus.items() if index in present}
        known = [each for each in warm if not math.isnan(each)]
        if known:
            told["warm"] = statistics.median(known)
        slow = self._slowness(reading)
        if not math.isnan(slow):
            told["slow"] = slow
        common = ambient.get("slow", 0.0)
        self.slowness.put(slow - (0.0 if math.isnan(common) else common))
        ok, failed = float(reading.counted.ok), float(reading.counted.failed)
        self.ok.put(ok)
        self.failed.put(failed)
        if ok + failed > 0:
            share = 1.0 - 0.5 ** (EVERY / USUAL_HALF_LIFE)
            self.usual_failed += share * (min(failed / (ok + failed), 0.05) - self.usual_failed)
        return told

    def _slowness(self, reading: NodeReading) -> float:
        """The logarithm of how quickly its requests are written, less that of what is usual for their kind; `NONE` where nothing is known."""
        total = weights = 0.0
        for key, (tokens, seconds) in reading.counted.written.items():
            if seconds <= 0 or tokens <= 0:
                continue
            log = math.log(tokens / seconds)
            held = self.speeds.get(key)
            if held is None:
                if len(self.speeds) >= MOST_MODELS:
                    del self.speeds[min(self.speeds, key=lambda each: self.speeds[each].at)]
                self.speeds[key] = EngineSpeed(log, tokens, reading.at)
                continue
            known = held.weight >= ENOUGH_TOKENS
            if known:
                total, weights = total + tokens * (log - held.log), weights + tokens
            # What is slower just now is hardly learnt.
            learnt = tokens * (0.05 if known and log < held.log - 0.1 else 1.0)
            held.weight = held.weight * 0.5 ** (max(0.0, reading.at - held.at) / USUAL_HALF_LIFE) + learnt
            held.log += (log - held.log) * learnt / held.weight
            held.at = reading.at
        return total / weights if weights > 0 else NONE

    def is_near(self, series: ReadingSeries, seconds: float, limit: float, within: float) -> bool:
        """Whether it may reach a limit within so many seconds, by the plainest estimate: the rest is not looked at more closely. Also where values are missing."""
        count = min(round(seconds / EVERY), len(self.times))
        if count < 6:
            return False
        older, newer = series.ends(count)
        grown, left = newer - older, limit - newer
        if math.isnan(grown):
            return True
        return grown * left >= 0 and abs(left) * (count - 3) * EVERY <= within * abs(grown)

    def window(self, series: ReadingSeries, seconds: float) -> tuple[Array, Array]:
        """Times since the newest reading (at most 0), and the values of the last ``seconds`` that are not missing."""
        count = min(round(seconds / EVERY), len(self.times))
        values = series.last(count)
        times = np.array(self.times[-len(values) :]) - self.times[-1] if len(values) else values
        present = ~np.isnan(values)
        return times[present], values[present]

"""A published corpus of simulated nodes for prediction: days of six nodes, each seed another one, in readings of the form and interval of real ones.

Faults have a precursor of a kind that a node can measure, or none. Beside them is what looks like one and is not: spikes of load, models that are swapped and
fetched, the day's cycle, a hot summer's day, logs that are rotated, engines whose restart frees memory, cards that correct errors all their life. Times are in steps of a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.signal import lfilter

from cluster.health.snapshot import SeenNode, Snapshot
from cluster.prediction.series import EVERY
from cluster.prediction.thresholds import DETECTORS
from ollamamax.contract import Engine, Gpu, Vitals
from ollamamax.contract.measured import Ended
from ollamamax.contract.tables import Registered

Array = np.ndarray[Any, np.dtype[np.float64]]
NODES, GPUS, SLOTS = 6, 2, 8
STEPS = int(86_400 / EVERY)
MINUTE = int(60 / EVERY)
BEGIN = 1_760_000_000.0
TENANT = "c" * 32
CARD = "NVIDIA H100 80GB HBM3"
DISK, MEMORY, VRAM = 2 << 40, 512 << 30, 80 << 30
FAULTY = 0.6
"""The share of nodes that have a fault on the day: far more than real ones, or there would be none to count."""
SUDDEN = 1 / 8
"""The share of faults without a precursor."""
REPAIRED = (15 * MINUTE, 40 * MINUTE)
"""For so long a node is away after a fault."""
DURATIONS = {
    "disk_full": (25, 360),
    "memory_full": (30, 360),
    "gpu_memory_full": (30, 300),
    "gpu_hot": (30, 300),
    "engine_slow": (25, 240),
    "engine_failing": (15, 120),
    "clock_skew": (40, 360),
}
"""Minutes from the beginning of a precursor to the failure, drawn evenly on a logarithmic scale. That of memory errors follows from how soon they double."""


@dataclass
class Fault:
    """``kind`` is the detector that could see it come, or ``sudden``. ``fails_at``: the step at which it fails; ``None`` where the day ends before."""

    node: int
    kind: str
    of: str
    begins_at: int
    fails_at: int | None = None


@dataclass
class Day:
    """One seed. Arrays have one value a step; those of cards are by card."""

    seed: int
    faults: list[Fault] = field(default_factory=list)
    nodes: list[NodeDay] = field(default_factory=list)


@dataclass
class NodeDay:
    running: Array
    memory: Array
    disk: Array
    skew: Array
    fetching: Array
    requests: Array
    failed: Array
    models: list[tuple[str, Array, Array]]
    """Name; tokens that were written; seconds that they took."""
    vram: list[Array]
    watts: list[Array]
    celsius: list[Array]
    slowdown: float
    corrected: list[Array]
    away: Array


def day(seed: int) -> Day:
    """The same for the same seed."""
    made = Day(seed)
    site = np.random.default_rng([seed, 10_000])
    ambient = _ambient(site)
    phase = site.uniform(0, 1)
    for number in range(NODES):
        rng = np.random.default_rng([seed, number])
        fault = _drawn_fault(rng, number)
        made.nodes.append(_node(rng, ambient, phase, fault))
        if fault is not None:
            made.faults.append(fault)
    return made


def _drawn_fault(rng: np.random.Generator, number: int) -> Fault | None:
    if rng.uniform() >= FAULTY:
        return None
    if rng.uniform() < SUDDEN:
        at = int(rng.uniform(0.1, 0.95) * STEPS)
        return Fault(number, "sudden", "", at, at)
    kind = DETECTORS[int(rng.integers(len(DETECTORS)))]
    of = str(int(rng.integers(GPUS))) if kind.startswith("gpu_") else ""
    return Fault(number, kind, of, int(rng.uniform(0.12, 0.75) * STEPS))


def _ambient(rng: np.random.Generator) -> Array:
    """Degrees of the room: its day, its door, and now and then a hot summer's day."""
    t = np.arange(STEPS) / STEPS
    found = rng.uniform(20, 25) + rng.uniform(0.5, 2.5) * np.sin(2 * np.pi * (t + rng.uniform()))
    if rng.uniform() < 0.25:
        found += rng.uniform(6, 11) * np.exp(-0.5 * ((t - rng.uniform(0.3, 0.8)) / rng.uniform(0.08, 0.16)) ** 2)
    for _ in range(rng.poisson(0.5)):
        begin, length = int(rng.uniform(0, STEPS)), int(rng.uniform(20, 90) * MINUTE)
        found[begin : begin + length] += rng.uniform(2, 5)
    return np.asarray(lfilter([0.1], [1, -0.9], found - found[0]) + found[0])


def _wander(rng: np.random.Generator, sigma: float, kept: float) -> Array:
    """Noise that wanders, with standard deviation ``sigma``."""
    return np.asarray(lfilter([1.0], [1, -kept], rng.normal(0, sigma * np.sqrt(1 - kept * kept), STEPS)))


def _spans(rng: np.random.Generator, a_day: float, least: float, most: float) -> list[tuple[int, int]]:
    """Begin and end of what comes so often a day and lasts so many minutes."""
    found = []
    for _ in range(rng.poisson(a_day)):
        begin = int(rng.uniform(0, STEPS))
        found.append((begin, min(STEPS, begin + max(1, int(rng.uniform(least, most) * MINUTE)))))
    return found


def _node(rng: np.random.Generator, ambient: Array, phase: float, fault: Fault | None) -> NodeDay:
    load = _load(rng, phase)
    made = NodeDay(
        running=rng.binomial(SLOTS, load).astype(float),
        memory=_memory(rng, load),
        disk=_disk(rng),
        skew=_skew(rng),
        fetching=np.zeros(STEPS),
        requests=rng.poisson(load * rng.uniform(12, 40)).astype(float),
        failed=np.zeros(STEPS),
        models=[],
        vram=[_vram(rng, load) for _ in range(GPUS)],
        watts=[],
        celsius=[],
        slowdown=float(rng.integers(87, 96)),
        corrected=[],
        away=np.zeros(STEPS),
    )
    _pulls(rng, made)
    speed = _plateaus(rng)
    failing = np.full(STEPS, rng.uniform(0.001, 0.01))
    for begin, end in _spans(rng, 0.5, 2, 10):
        failing[begin:end] += rng.uniform(0.1, 0.5)
    resistance = [_resistance(rng) for _ in range(GPUS)]
    rates = [_error_rate(rng) for _ in range(GPUS)]
    if fault is not None:
        _break(rng, fault, made, speed, failing, resistance, rates)
    for gpu in range(GPUS):
        power = rng.uniform(60, 110) + load * rng.uniform(380, 560) + rng.normal(0, 12, STEPS)
        settled = np.asarray(lfilter([0.63], [1, -0.37], power - power[0]) + power[0])
        warm = ambient + resistance[gpu] * settled + rng.normal(0, 0.5, STEPS)
        made.watts.append(np.round(power, 1))
        made.celsius.append(np.round(warm))
        made.corrected.append(np.cumsum(rng.poisson(rates[gpu] / MINUTE)).astype(float))
    made.failed = rng.binomial(made.requests.astype(int), np.clip(failing, 0, 1)).astype(float)
    made.models = _models(rng, made, load, speed)
    if fault is not None:
        _fail(rng, fault, made)
    return made


def _load(rng: np.random.Generator, phase: float) -> Array:
    t = np.arange(STEPS) / STEPS
    found = rng.uniform(0.3, 0.5) + rng.uniform(0.1, 0.35) * np.sin(2 * np.pi * (t + phase + rng.uniform(-0.05, 0.05)))
    found += _wander(rng, 0.08, 0.94)
    for begin, end in _spans(rng, 2, 5, 40):
        found[begin:end] += rng.uniform(0.3, 0.7)
    return np.clip(found, 0.02, 1.0)


def _steps(rng: np.random.Generator, a_day: float, most: float) -> Array:
    """Models that come into memory and leave it: what they take goes up and down by steps."""
    found, now = np.zeros(STEPS), 0.0
    for at in sorted(rng.integers(0, STEPS, rng.poisson(a_day))):
        now = rng.uniform(0, most)
        found[at:] = now
    return found


def _memory(rng: np.random.Generator, load: Array) -> Array:
    busy = np.asarray(lfilter([0.2], [1, -0.8], load))
    found = rng.uniform(0.2, 0.45) + rng.uniform(0.02, 0.15) * busy + _steps(rng, 3, 0.2) + rng.normal(0, 0.002, STEPS)
    for begin, _ in _spans(rng, 0.5, 1, 2):
        # A cache that becomes warm, and is full then.
        grown = rng.uniform(0.03, 0.12) * (1 - np.exp(-np.arange(STEPS - begin) / (rng.uniform(10, 40) * MINUTE)))
        found[begin:] += grown
    if rng.uniform() < 0.15:
        # An engine that loses memory, and is started again on schedule before that is a fault.
        period = int(rng.uniform(4, 8) * 60 * MINUTE)
        found += rng.uniform(0.05, 0.2) * ((np.arange(STEPS) + int(rng.uniform(0, period))) % period) / period
    return np.clip(found, 0.05, 0.93)


def _vram(rng: np.random.Generator, load: Array) -> Array:
    found = rng.uniform(0.25, 0.6) + _steps(rng, 3, 0.25) + rng.uniform(0.0, 0.06) * load
    return np.clip(found + rng.normal(0, 0.001, STEPS), 0.02, 0.96)


def _disk(rng: np.random.Generator) -> Array:
    hours = np.arange(STEPS) / (60 * MINUTE)
    found = rng.uniform(0.3, 0.8) + rng.uniform(0, 0.002) * hours
    if rng.uniform() < 0.4:
        period = int(rng.uniform(2, 6) * 60 * MINUTE)
        found = found + rng.uniform(0.01, 0.04) * ((np.arange(STEPS) + int(rng.uniform(0, period))) % period) / period
    return np.asarray(found)


def _pulls(rng: np.random.Generator, made: NodeDay) -> None:
    """Models that are fetched, by order of the product or by hand, and removed after a while."""
    for by_order in (True, False):
        for begin, end in _spans(rng, 0.7, 1, 6):
            size = min(rng.uniform(0.01, 0.04), max(0.0, 0.95 - float(made.disk[begin:].max())))
            made.disk[begin:end] += size * np.arange(1, end - begin + 1) / (end - begin)
            removed = min(STEPS, end + int(rng.uniform(0.2, 1.0) * STEPS))
            made.disk[end:removed] += size
            if by_order:
                made.fetching[begin:end] = 1


def _skew(rng: np.random.Generator) -> Array:
    found = rng.normal(0, rng.uniform(0.003, 0.02), STEPS) + rng.normal(0, 0.03)
    if rng.uniform() < 0.3:
        period = int(rng.uniform(17, 68) * MINUTE)
        found += rng.choice([-1, 1]) * rng.uniform(0.02, 0.3) * (np.arange(STEPS) % period) / period
    for begin, end in _spans(rng, 0.3, 5, 30):
        # A virtual machine that was paused, until its clock is set again.
        found[begin:end] -= rng.uniform(0.3, 3.0)
    return found


def _plateaus(rng: np.random.Generator) -> Array:
    """By what its speed is multiplied: longer prompts for a while, another program on the card."""
    found = np.ones(STEPS)
    for begin, end in _spans(rng, 0.6, 20, 90):
        found[begin:end] *= rng.uniform(0.75, 0.92)
    for begin, end in _spans(rng, 0.15, 120, 360):
        found[begin:end] *= rng.uniform(0.6, 0.8)
    return found


def _resistance(rng: np.random.Generator) -> Array:
    """Degrees a watt. Dust that settles for hours and stays is no fault."""
    found = np.full(STEPS, rng.uniform(0.058, 0.078))
    if rng.uniform() < 0.12:
        begin, length = int(rng.uniform(0, STEPS)), int(rng.uniform(60, 300) * MINUTE)
        found *= 1 + rng.uniform(0.03, 0.12) * np.clip((np.arange(STEPS) - begin) / length, 0, 1)
    return found


def _error_rate(rng: np.random.Generator) -> Array:
    """Corrected memory errors a minute: few, always some, or many at once."""
    found = np.full(STEPS, rng.uniform(0.05, 0.4) if rng.uniform() < 0.08 else rng.uniform(0, 0.01))
    for begin, end in _spans(rng, 0.2, 0.5, 3):
        found[begin:end] += rng.uniform(3, 15)
    return found


def _break(
    rng: np.random.Generator,
    fault: Fault,
    made: NodeDay,
    speed: Array,
    failing: Array,
    resistance: list[Array],
    rates: list[Array],
) -> None:
    """Put the precursor into what is measured. What follows from it alone fails at its end; the rest where its limit is reached (`_fail`)."""
    kind, begin = fault.kind, fault.begins_at
    after = np.maximum(0, np.arange(STEPS) - begin)
    if kind == "gpu_memory_errors":
        doubles, lost = rng.uniform(4, 25) * MINUTE, float(np.exp(rng.normal(np.log(20), 0.5)))
        rate = np.where(after > 0, 0.02 * 2.0 ** np.minimum(after / doubles, 40), 0)
        rates[int(fault.of)] += np.minimum(rate, lost)
        fault.fails_at = _first(rate >= lost)
        return
    if kind == "sudden":
        return
    least, most = DURATIONS[kind]
    length = float(np.exp(rng.uniform(np.log(least), np.log(most)))) * MINUTE
    part = after / length
    grown = part ** rng.uniform(1.0, 1.6)
    if kind in ("memory_full", "gpu_memory_full"):
        series = made.memory if kind == "memory_full" else made.vram[int(fault.of)]
        series += (1.0 - series[begin]) * grown
    elif kind == "disk_full":
        if rng.uniform() < 0.3:
            # Dumps of what crashes again and again.
            each = int(rng.uniform(3, 10) * MINUTE)
            grown = (after // each * each) / length
        made.disk += (1.0 - made.disk[begin]) * grown
    elif kind == "gpu_hot":
        resistance[int(fault.of)] *= 1 + rng.uniform(0.4, 1.0) * np.minimum(grown, 3)
    elif kind == "engine_slow":
        speed *= np.exp(np.log(rng.uniform(0.15, 0.35)) * np.minimum(part, 1))
        fault.fails_at = _first(part >= 1)
    elif kind == "engine_failing":
        failing += np.where(after > 0, 0.004 * (rng.uniform(0.4, 0.8) / 0.004) ** np.minimum(part, 1), 0)
        fault.fails_at = _first(part >= 1)
    else:
        made.skew += rng.choice([-1, 1]) * 5.0 * part


def _fail(rng: np.random.Generator, fault: Fault, made: NodeDay) -> None:
    kind = fault.kind
    gpu = int(fault.of or 0)
    began = np.arange(STEPS) >= fault.begins_at
    if kind == "disk_full":
        fault.fails_at = _first(made.disk >= 1.0)
    elif kind == "memory_full":
        fault.fails_at = _first(made.memory >= 0.985)
    elif kind == "gpu_memory_full":
        fault.fails_at = _first(made.vram[gpu] >= 0.99)
    elif kind == "gpu_hot":
        fault.fails_at = _first((made.celsius[gpu] >= made.slowdown) & began)
    elif kind == "clock_skew":
        fault.fails_at = _first((np.abs(made.skew) >= 5.0) & began)
    if fault.fails_at is None:
        return
    back = min(STEPS, fault.fails_at + int(rng.uniform(*REPAIRED)))
    made.away[fault.fails_at : back] = 1
    # It comes back repaired.
    for series in (made.memory, made.disk, made.skew, *made.vram, *made.celsius):
        before = float(np.median(series[: fault.begins_at]))
        series[back:] = before + rng.normal(0, 0.002, STEPS - back) * max(1.0, abs(before) / 20)
    made.failed[back:] = 0
    for place, (name, tokens, _) in enumerate(made.models):
        made.models[place] = name, tokens, np.concatenate((made.models[place][2][:back], tokens[back:] / 60.0))
    for each in made.corrected:
        each[back:] = each[fault.fails_at]


def _first(where: np.ndarray[Any, np.dtype[np.bool_]]) -> int | None:
    found = np.flatnonzero(where)
    return int(found[0]) if len(found) else None


def _models(rng: np.random.Generator, made: NodeDay, load: Array, speed: Array) -> list[tuple[str, Array, Array]]:
    """Two models that share the node, one of which is another one from time to time."""
    names = ("llama3.3:70b", "qwen2.5-coder:32b", "mistral-small:24b")
    usual = [rng.uniform(20, 45), rng.uniform(45, 80), rng.uniform(60, 110)]
    share = np.clip(0.5 + _wander(rng, 0.15, 0.98), 0.05, 0.95)
    swapped = np.zeros(STEPS, dtype=bool)
    for begin, end in _spans(rng, 1.5, 30, 300):
        swapped[begin:end] = True
    crowded = 1 + 0.08 * np.maximum(0, made.running - 1)
    found = []
    for place, name in enumerate(names):
        of = share if place == 0 else np.where(swapped == (place == 2), 1 - share, 0)
        answers = rng.binomial(np.maximum(0, made.requests - made.failed).astype(int), of)
        tokens = np.round(answers * rng.lognormal(np.log(150), 0.3, STEPS))
        rate = usual[place] * speed / crowded * rng.lognormal(0, 0.06, STEPS)
        found.append((name, tokens, tokens / rate))
    return found


def looks(made: Day) -> Iterator[Snapshot]:
    """What the controller sees of the day, at every reading."""
    registered = [Registered(tenant=TENANT, name=f"node-{number}") for number in range(NODES)]
    ids = [id_of(made.seed, number) for number in range(NODES)]
    told = [list(_told(ids[number], node)) for number, node in enumerate(made.nodes)]
    for step in range(STEPS):
        nodes, ended, fetching = [], [], set()
        for number, node in enumerate(made.nodes):
            vitals, requests = told[number][step]
            nodes.append(SeenNode(ids[number], registered[number], vitals))
            ended += requests
            if node.fetching[step]:
                fetching.add(ids[number])
        yield Snapshot(BEGIN + step * EVERY, "", nodes, ended=ended, fetching=fetching)


def id_of(seed: int, number: int) -> str:
    return f"{seed:024x}{number:08x}"


def _told(id_: str, node: NodeDay) -> Iterator[tuple[Vitals | None, list[Ended]]]:
    """Of each step what the node says, and what gateways counted."""
    running, away = node.running.astype(int).tolist(), node.away.tolist()
    memory = (np.clip(node.memory, 0, 1) * MEMORY).astype(int).tolist()
    disk = (np.clip(node.disk, 0, 1) * DISK).astype(int).tolist()
    skew = np.round(node.skew, 3).tolist()
    cards = [
        list(
            zip(
                (np.clip(node.vram[index], 0, 1) * VRAM).astype(int).tolist(),
                node.celsius[index].tolist(),
                node.watts[index].tolist(),
                node.corrected[index].astype(int).tolist(),
                strict=True,
            )
        )
        for index in range(GPUS)
    ]
    failed = node.failed.astype(int).tolist()
    ok = np.maximum(0, node.requests - node.failed).astype(int).tolist()
    models = [(name, tokens.astype(int).tolist(), (1000 * seconds).tolist()) for name, tokens, seconds in node.models]
    engines = [Engine("ollama", healthy=True)]
    for step in range(STEPS):
        if away[step]:
            yield None, []
            continue
        gpus = []
        for index, card in enumerate(cards):
            used, celsius, watts, corrected = card[step]
            gpus.append(Gpu(index, CARD, None, used, VRAM, celsius, watts, None, corrected, None, node.slowdown))
        vitals = Vitals(
            id_, "corpus", step, "", engines, SLOTS, running[step], 0, 0.0, 0.0, memory[step], MEMORY, disk[step], DISK, gpus,
            clock_skew_seconds=skew[step],
        )  # fmt: skip
        found = [
            Ended(TENANT, name, id_, written_tokens=tokens[step], written_ms=took[step])
            for name, tokens, took in models
            if tokens[step] > 0
        ]
        if failed[step] or ok[step]:
            found.append(
                Ended(TENANT, "", id_, ok[step], errors={"engine_error": failed[step]} if failed[step] else {})
            )
        yield vitals, found

"""What a day of the fleet's history takes: in Redis for its steps of ten seconds, and in Postgres for minutes and hours."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from benchmarks.lively_fleet import Kind, state_of
from ollamamax.contract.history import (
    DAY,
    FINEST,
    HOUR,
    MINUTE,
    SCALE,
    Entry,
    Gauges,
    counted,
    encode_entry,
    fold,
    pack,
)
from ollamamax.contract.measured import Ended, bucket

ROW = 24 + 16 + 46 + 8 + 2 + 8 + 4
"""Bytes of a row in Postgres beside what is packed: its head, tenant, series, start, step and lengths; its two indexes take about as much again."""
SAMPLE = 2
"""Hosts that are packed; all are alike but for their moments."""


@dataclass(frozen=True)
class Size:
    nodes: int
    models: int = 20
    tenants: int = 5
    requests_per_second: float = 1.0
    """Of each node."""


@dataclass(frozen=True)
class Found:
    """Bytes of a day."""

    size: Size
    redis: int
    minutes: int
    hours: int


def measure(size: Size) -> Found:
    sampled = [_series(size.requests_per_second, number, gauges=True) for number in range(min(SAMPLE, size.nodes))]
    # A model or a tenant has the requests of many nodes in a step, but no GPUs.
    share = size.requests_per_second * size.nodes
    others = [(_series(share / size.models, 1, gauges=False), size.models)]
    others.append((_series(share / size.tenants, 2, gauges=False), size.tenants))
    totals = [sum(part) * size.nodes / len(sampled) for part in zip(*sampled, strict=True)]
    for parts, count in others:
        totals = [held + part * count for held, part in zip(totals, parts, strict=True)]
    redis, minutes, hours = map(round, totals)
    return Found(size, redis, minutes, hours)


def _series(rate: float, number: int, *, gauges: bool) -> tuple[int, int, int]:
    """Bytes that a day of one series takes in Redis, in rows of minutes, and in its row of hours."""
    rng = random.Random(number)
    redis, in_minutes = 0, 0
    day: list[Entry] = []
    for start in range(0, DAY, HOUR):
        hour: list[Entry] = []
        for at in range(start, start + HOUR, FINEST):
            if gauges:
                hour.append(_gauges(number, at))
            hour.append(_requests(rng, at, rate))
        minutes = fold(hour, MINUTE)
        day += fold(minutes, HOUR)
        in_minutes += len(pack(minutes)) + 2 * ROW
        # The present hour is not packed yet.
        redis += len(pack(hour)) if start else sum(len(encode_entry(entry)) for entry in hour)
    return redis, in_minutes, len(pack(day)) + 2 * ROW


def _gauges(number: int, at: int) -> Gauges:
    state = state_of("", "", number, Kind(), at, float(at))
    memory = round(1000 * state.memory_used / state.memory_total)
    values = [
        state.running * SCALE, 0, state.capacity * SCALE, round(state.tokens_per_second * SCALE),
        round(state.cpu_percent * SCALE), memory,
    ]  # fmt: skip
    cards: list[list[int | None]] = [
        [
            round((gpu.load_percent or 0) * SCALE),
            round(1000 * (gpu.memory_used or 0) / (gpu.memory_total or 1)),
            round((gpu.temperature_celsius or 0) * SCALE),
            round((gpu.power_watts or 0) * SCALE),
        ]
        for gpu in state.gpus
    ]
    return Gauges(at, list(values), cards)


def _requests(rng: random.Random, at: int, rate: float) -> Entry:
    count = round(rate * FINEST)
    first = Counter(bucket(rng.lognormvariate(5.2, 0.6)) for _ in range(min(count, 200)))
    ended = Ended(
        "", "", "", ok=count, prompt_tokens=900 * count, completion_tokens=300 * count, first_tokens=dict(first)
    )
    return counted(at, ended)


def report(found: Found) -> str:
    size = found.size
    return (
        f"{size.nodes} nodes of 8 GPUs, {size.models} models, {size.tenants} tenants, {size.requests_per_second:g} requests/s on each node:\n"
        f"  Redis, steps of 10 s    {found.redis / 1e6:8.1f} MB, kept for a day\n"
        f"  Postgres, minutes       {found.minutes / 1e6:8.1f} MB a day, kept for 8 days\n"
        f"  Postgres, hours         {found.hours / 1e6:8.2f} MB a day, kept for a year"
    )

"""Cold hits with five times as many models as memory: requests for a model that is in no memory when they come.

A simulated week with a rhythm (models of working hours in three time zones, nightly jobs, and some at any time; a few are asked for often and many seldom), then the
day that is counted. All policies load what is asked for and put out what was used longest ago; they differ in what they do besides.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cluster.autoscaling import warmth
from cluster.placement.plan import plan
from cluster.placement.steps import MOST_LOADS
from cluster.placement.terms import LoadedReplica, PlacementNode, PlacementVersion

DAY, MINUTE = 86_400, 60
DAYS_BEFORE = 7
NODES, MEMORY, MODELS, TIMES = 4, 48, 60, 5
"""Nodes with so many GiB each; the models together have `TIMES` as much."""
DEMAND_WINDOW = 600
IDLE = 300
"""Ollama unloads what nobody asked for in five minutes."""
TRAINING, HELD_OUT = (1, 2), (101, 102)
"""Seeds of generated days."""
A_DAY = 20_000
"""Requests of all models together; how often each is asked for follows Zipf's law."""
PLANNED_EVERY = 300
"""Seconds from one plan to the next; the product plans more often."""
RUNS = 8.0
"""Seconds that a request runs."""


@dataclass
class Requests:
    """``at``: in order, seconds and model, of the days before, too; counted are those from ``begin`` until ``end``. ``room``: GiB of each node.
    ``rates``: of a generated day, requests a minute that are to be expected, by minute."""

    sizes: dict[str, int]
    at: list[tuple[int, str]]
    begin: int
    end: int
    room: tuple[int, ...]
    rates: dict[str, list[float]] | None = None


def requests(seed: int) -> Requests:
    rng = random.Random(f"models {seed}")
    weights = [rng.choice([4, 8, 8, 16, 24, 40]) for _ in range(MODELS)]
    factor = TIMES * NODES * MEMORY / sum(weights)
    sizes = {f"m{number:02}": min(MEMORY, max(1, round(weight * factor))) for number, weight in enumerate(weights)}
    at: list[tuple[int, str]] = []
    rates: dict[str, list[float]] = {}
    ranks = list(range(1, MODELS + 1))
    rng.shuffle(ranks)
    share = 1 / sum(1 / rank for rank in ranks)
    for model, rank in zip(sizes, ranks, strict=True):
        mean, rhythm = A_DAY * share / rank / DAY * MINUTE, _rhythm(rng)
        whole = sum(rhythm(minute / 60) for minute in range(DAY // MINUTE)) / (DAY // MINUTE)
        for day in range(DAYS_BEFORE + 1):
            factor = rng.uniform(0.7, 1.3)
            rates[model] = [factor * mean * rhythm(minute / 60) / whole for minute in range(DAY // MINUTE)]
            for minute, rate in enumerate(rates[model]):
                moments = range(int(rate) + (rng.random() < rate % 1))
                at += [(day * DAY + minute * MINUTE + rng.randrange(MINUTE), model) for _ in moments]
    begin = DAYS_BEFORE * DAY
    return Requests(sizes, sorted(at), begin, begin + DAY, (MEMORY,) * NODES, rates)


def _rhythm(rng: random.Random) -> Callable[[float], float]:
    """By the hour of the day: two fifths of the models at any time, two fifths in the working hours of one of three time zones, a fifth in a nightly job."""
    kind = rng.random()
    if kind < 0.4:
        return lambda hour: 1.0
    if kind < 0.8:
        begin = rng.choice([0, 8, 16]) + rng.uniform(-1, 1)
        return lambda hour: 1.0 if (hour - begin) % 24 < 9 else 0.0
    nightly, length = rng.uniform(0, 24), rng.uniform(0.3, 1.5)
    return lambda hour: 1.0 if (hour - nightly) % 24 < length else 0.0


@dataclass
class Memory:
    """What is in the memory of which node, and when each model was last asked for."""

    sizes: dict[str, int]
    room: tuple[int, ...]
    held: list[set[str]] = field(init=False)
    used: dict[str, int] = field(default_factory=dict)
    loads: int = 0

    def __post_init__(self) -> None:
        self.held = [set() for _ in self.room]

    def has(self, model: str) -> bool:
        return any(model in each for each in self.held)

    def free(self, node: int) -> int:
        return self.room[node] - sum(self.sizes[each] for each in self.held[node])

    def load(self, model: str) -> None:
        """Where the least that was used lately must go for it."""

        def gone(node: int) -> list[str]:
            found, lacking = [], self.sizes[model] - self.free(node)
            for each in sorted(self.held[node], key=lambda one: self.used.get(one, -1)):
                if lacking <= 0:
                    break
                found.append(each)
                lacking -= self.sizes[each]
            return found

        node = min(
            range(len(self.room)),
            key=lambda each: (max((self.used.get(one, -1) for one in gone(each)), default=-2), self.free(each)),
        )
        self.held[node] -= set(gone(node))
        self.held[node].add(model)
        self.loads += 1


Beside = Callable[[Memory, int], None]
"""What a policy does each minute, besides."""


@dataclass
class Warm:
    requests: int
    cold: int
    loads: int


def run(made: Requests, beside: Beside) -> Warm:
    """What is counted, after the six hours before it as a beginning."""
    memory, cold, begin = Memory(made.sizes, made.room), 0, made.begin
    position = bisect_right(made.at, (begin - 6 * 3600, ""))
    counted = 0
    for minute in range((begin - 6 * 3600) // MINUTE, made.end // MINUTE):
        beside(memory, minute * MINUTE)
        if minute * MINUTE == begin:
            memory.loads = 0
        while position < len(made.at) and made.at[position][0] < (minute + 1) * MINUTE:
            at, model = made.at[position]
            position += 1
            counted += at >= begin
            if not memory.has(model):
                cold += at >= begin
                memory.load(model)
            memory.used[model] = at
    return Warm(counted, cold, memory.loads)


def nothing(memory: Memory, now: int) -> None:
    """The least recently used goes when room is needed."""


def idle_out(memory: Memory, now: int) -> None:
    for each in memory.held:
        each -= {model for model in each if now - memory.used.get(model, 0) >= IDLE}


def planned(made: Requests) -> Beside:
    """As the product: a plan each minute, with the demand of ten minutes and the warmth that follows from what was counted until then."""
    return _planned(made, lambda model, counts, now: warmth.expected_requests(warmth.expected_rate(counts, now, 0)))


def foretold(made: Requests) -> Beside:
    """The same plan with the true rates of the day: what is lost besides is lost by chance, and by the plan."""

    rates = made.rates or {}

    def expected(model: str, counts: dict[int, int], now: int) -> float:
        first = now // MINUTE % (DAY // MINUTE)
        return sum(rates[model][first : first + int(warmth.AHEAD) // MINUTE])

    return _planned(made, expected)


def _planned(made: Requests, expected: Callable[[str, dict[int, int], int], float]) -> Beside:
    nodes = [PlacementNode(str(number), "t", room, 4, "k") for number, room in enumerate(made.room)]
    everywhere = frozenset(each.id for each in nodes)
    counts: dict[str, dict[int, int]] = {model: {} for model in made.sizes}
    seen = 0
    stays: set[str] = set()
    """What the plan loaded; what a request loaded leaves by itself."""

    def each_minute(memory: Memory, now: int) -> None:
        nonlocal seen
        for each in memory.held:
            each -= {one for one in each if one not in stays and now - memory.used.get(one, 0) >= IDLE}
        stays.intersection_update(one for each in memory.held for one in each)
        if now % PLANNED_EVERY:
            return
        while seen < len(made.at) and made.at[seen][0] < now:
            at, model = made.at[seen]
            quarter = at - at % warmth.STEP
            counts[model][quarter] = counts[model].get(quarter, 0) + 1
            seen += 1
        recent = Counter(model for _, model in made.at[bisect_right(made.at, (now - DEMAND_WINDOW, "")) : seen])
        versions = [
            PlacementVersion(
                model, "t", {"k": size}, everywhere, demand=recent[model] * RUNS / DEMAND_WINDOW,
                idle_for=float(now - memory.used.get(model, -DAY)), warmth=expected(model, counts[model], now),
            )
            for model, size in made.sizes.items()
        ]  # fmt: skip
        loaded = [
            LoadedReplica(str(node), model, made.sizes[model])
            for node, held in enumerate(memory.held)
            for model in held
        ]
        comes = 0
        for step in plan(nodes, versions, loaded).steps:
            node = memory.held[int(step.node)]
            if step.verb == "unload":
                node.discard(step.digest)
            elif comes < MOST_LOADS and memory.free(int(step.node)) >= step.bytes:
                comes += 1
                node.add(step.digest)
                stays.add(step.digest)
                memory.loads += 1
                if step.source:
                    memory.held[int(step.source)].discard(step.digest)

    return each_minute


def knowing(made: Requests) -> Beside:
    """An oracle: what is asked for next is in memory, as far as it fits."""
    times: dict[str, list[int]] = {model: [] for model in made.sizes}
    for at, model in made.at:
        times[model].append(at)

    def upcoming(model: str, now: int) -> int:
        position = bisect_right(times[model], now - 1)
        return times[model][position] if position < len(times[model]) else 1 << 40

    def each_minute(memory: Memory, now: int) -> None:
        held: list[set[str]] = [set() for _ in made.room]
        room = sorted((-each, node) for node, each in enumerate(made.room))
        for model in sorted(made.sizes, key=lambda one: upcoming(one, now)):
            size = made.sizes[model]
            free, node = room[0]
            if -free >= size:
                heapq.heapreplace(room, (free + size, node))
                held[node].add(model)
        memory.loads += len(set().union(*held) - set().union(*memory.held))
        memory.held = held

    return each_minute


KNOWING = "knows what comes next"
POLICIES: dict[str, Callable[[Requests], Beside]] = {
    "loaded when asked for, unloaded after five idle minutes": lambda made: idle_out,
    "loaded when asked for, the least recently used goes": lambda made: nothing,
    "kept warm by recent use and time of day": planned,
    "kept warm by the true rates": foretold,
    KNOWING: knowing,
}


def report(title: str, found: dict[str, Warm]) -> str:
    first = next(iter(found.values()))
    lines = [
        title,
        "",
        "| policy | requests | cold hits | share | avoided, of those of the first | loads |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {each.requests:,} | {each.cold:,} | {each.cold / max(1, each.requests):.1%} | {1 - each.cold / max(1, first.cold):.0%} | {each.loads:,} |"
        for name, each in found.items()
    ]
    return "\n".join(lines)


def measure(seeds: Sequence[int]) -> dict[str, Warm]:
    found = {name: Warm(0, 0, 0) for name in POLICIES}
    for seed in seeds:
        made = requests(seed)
        for name, policy in POLICIES.items():
            one = run(made, policy(made))
            total = found[name]
            total.requests, total.cold, total.loads = (
                total.requests + one.requests,
                total.cold + one.cold,
                total.loads + one.loads,
            )
    return found

"""How long requests take on unequal nodes, by strategy: our ranking in a simulation, beside what proxies usually do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks.load import quantile
from benchmarks.simulation import Choose, Job, Run, Setting, Sight
from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.routing import MOST, rank
from ollamamax.contract.profile import Profile, Strategy

FIRST_SEED = 11
"""Not that of the trials by which weights were chosen."""
WARM_UP = 0.1
"""Share of the requests, the first ones, that are not counted."""


@dataclass(frozen=True)
class Size:
    requests: int = 5_000
    seeds: int = 2


@dataclass(frozen=True)
class Way:
    """How nodes are chosen, made with a seed, and whether requests wait in one queue (`simulation.Run`)."""

    make: Callable[[int], Choose]
    queued: bool = False


def ours(strategy: Strategy, *, queued: bool = False) -> Way:
    """The product's own ranking."""

    def make(seed: int) -> Choose:
        rng = random.Random(seed)
        profile = Profile(strategy=strategy)

        def choose(job: Job, sight: Sight) -> list[str]:
            wanted = Wanted("t", str(job.model), profile, (rng.getrandbits(64),), prompt_tokens=job.prompt)
            ranked = rank(
                wanted,
                sight.candidates,
                turn=sight.turn,
                tokens=sight.tokens,
                waiting=sight.waiting,
                most=MOST if queued else 1,
            )
            return [each.node for each in ranked]

        return choose

    return Way(make, queued)


def usual(pick: Callable[[random.Random, list[Candidate], int], Candidate]) -> Way:
    """What a proxy does, among the nodes that have the model in memory while there are some (which few proxies know)."""

    def make(seed: int) -> Choose:
        rng = random.Random(seed)

        def choose(job: Job, sight: Sight) -> list[str]:
            loaded = [each for each in sight.candidates if each.residence == "loaded"]
            return [pick(rng, sorted(loaded or sight.candidates, key=lambda each: each.node), sight.turn).node]

        return choose

    return Way(make)


def _least(rng: random.Random, nodes: list[Candidate], turn: int) -> Candidate:
    return min(nodes, key=lambda each: (each.in_flight, rng.random()))


def _least_by_slots(rng: random.Random, nodes: list[Candidate], turn: int) -> Candidate:
    return min(nodes, key=lambda each: ((each.in_flight + 1) / each.capacity, rng.random()))


WAYS: dict[str, Way] = {
    "balanced, as admitted": ours("balanced", queued=True),
    "balanced, a queue at each node": ours("balanced"),
    "fastest, as admitted": ours("fastest", queued=True),
    "least_busy, as admitted": ours("least_busy", queued=True),
    "round robin": usual(lambda rng, nodes, turn: nodes[turn % len(nodes)]),
    "random": usual(lambda rng, nodes, turn: rng.choice(nodes)),
    "least connections": usual(_least),
    "least connections by slots": usual(_least_by_slots),
}
SETTINGS = {
    "one model, in every node's memory": Setting(0, models=1),
    "four models, three on each disk": Setting(0, models=4),
    "the same, the most wanted models least in memory": Setting(0, models=4, misplaced=True),
    "one model, three gateways": Setting(0, gateways=3),
}
LOADS = (0.5, 0.8, 0.95)


def latencies(setting: Setting, way: Way) -> list[float]:
    """Seconds from arrival to end."""
    jobs = Run(setting, way.make(setting.seed), queued=way.queued).finish()
    return [job.ended - job.arrived for job in jobs[int(len(jobs) * WARM_UP) :]]


def report(size: Size) -> str:
    """Tables in Markdown; prints each line as soon as it is known."""
    lines: list[str] = []
    for title, setting in SETTINGS.items():
        for line in _table(title, setting, size):
            print(line, flush=True)
            lines.append(line)
    return "\n".join(lines)


def _table(title: str, setting: Setting, size: Size) -> Iterator[str]:
    yield f"\n| {title}: mean and p99, s | " + " | ".join(f"load {load}" for load in LOADS) + " |"
    yield "|---|" + "---|" * len(LOADS)
    for name, way in WAYS.items():
        cells = []
        for load in LOADS:
            taken: list[float] = []
            for seed in range(FIRST_SEED, FIRST_SEED + size.seeds):
                taken += latencies(replace(setting, load=load, seed=seed, requests=size.requests), way)
            cells.append(f"{sum(taken) / len(taken):.1f}, {quantile(taken, 0.99):.0f}")
        yield f"| {name} | " + " | ".join(cells) + " |"

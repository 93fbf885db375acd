"""What it takes to plan which versions are in the memory of which nodes: the whole fleet from nothing, the same fleet again, and after the demand has changed."""

from __future__ import annotations

import dataclasses
import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster.placement.plan import plan
from cluster.placement.terms import LoadedReplica, LoadPlan, LoadTerms, PlacementNode, PlacementVersion

GOAL_SECONDS = 1.0
GIB = 1 << 30


@dataclass(frozen=True)
class Size:
    nodes: tuple[int, ...] = (100, 1000, 10_000)
    versions: int = 200
    seed: int = 1


@dataclass
class Found:
    """Seconds of the thread's own processor time, and what was planned in them. ``left``: steps of planning again on the plan's own result."""

    nodes: int
    first: float
    loads: int
    short: int
    again: float
    left: int
    changed: float
    steps: int


def measure(size: Size) -> list[Found]:
    return [_measure(size, nodes) for nodes in size.nodes]


def _measure(size: Size, count: int) -> Found:
    rng = random.Random(size.seed)
    nodes = [
        PlacementNode(
            f"n{number:05}", "t", rng.choice([24, 48, 80, 640]) * GIB, 4, "llamacpp 4", region=rng.choice(["east", "west"]),
            labels={"host": f"h{number}", "rack": f"r{number % 40}", "gpu": rng.choice(["l4", "h100"])},
        )
        for number in range(count)
    ]  # fmt: skip
    everywhere = frozenset(each.id for each in nodes)
    versions = [_version(rng, number, count, everywhere) for number in range(size.versions)]
    gc.collect()
    first, seconds = _timed(lambda: plan(nodes, versions, []))
    loaded = [LoadedReplica(each.node, each.digest, each.bytes) for each in first.steps]
    again, again_seconds = _timed(lambda: plan(nodes, versions, loaded))
    other = [dataclasses.replace(each, demand=each.demand * rng.choice([0.2, 1, 1, 1, 3])) for each in versions]
    changed, changed_seconds = _timed(lambda: plan(nodes, other, loaded))
    return Found(
        count, seconds, len(first.steps), len(first.shortages), again_seconds, len(again.steps), changed_seconds, len(changed.steps)
    )  # fmt: skip


def _version(rng: random.Random, number: int, nodes: int, everywhere: frozenset[str]) -> PlacementVersion:
    """Half of them lie on every node, the others on a fifth; a third is spread over racks. The demand grows with the fleet."""
    holders = everywhere if number % 2 else frozenset(rng.sample(sorted(everywhere), max(1, nodes // 5)))
    terms = LoadTerms(
        spread="rack" if number % 3 == 0 else "", labels={"gpu": "h100"} if number % 5 == 0 else {}, priority=rng.choice([0, 0, 1])
    )  # fmt: skip
    demand = rng.choice([0.0, 0.001, 0.01, 0.02]) * nodes
    return PlacementVersion(
        f"v{number:03}", "t", {"llamacpp 4": rng.choice([1, 5, 9, 20, 40]) * GIB}, holders, terms, demand=demand
    )


def _timed(call: Callable[[], LoadPlan]) -> tuple[LoadPlan, float]:
    begun = time.thread_time_ns()
    made = call()
    return made, (time.thread_time_ns() - begun) / 1e9


def missed(found: list[Found]) -> bool:
    return any(max(each.first, each.again, each.changed) > GOAL_SECONDS or each.left for each in found)


def report(found: list[Found]) -> str:
    lines = [
        "200 versions; seconds of processor time",
        "",
        "| nodes | from nothing | loads | too few replicas | again | steps left | other demand | steps |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.nodes:,} | {each.first:.2f} | {each.loads:,} | {each.short} | {each.again:.2f} | {each.left} | {each.changed:.2f} | {each.steps:,} |"
        for each in found
    ]
    return "\n".join(lines)

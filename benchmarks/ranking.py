"""What it takes to rank the nodes of one request, by how many have its model: in a gateway's memory, while nodes report and requests come and go."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.load import quantile
from cluster.fleet.candidates import Candidates
from cluster.scheduling.candidate import Wanted
from cluster.scheduling.routing import rank
from cluster.scheduling.strategies import STRATEGIES
from ollamamax.contract import Engine, ModelState, NodeState
from ollamamax.contract.profile import Profile, Strategy
from ollamamax.contract.tables import Registered

VERSION, TENANT = "sha256:" + "a" * 64, "ee" * 16
GOAL_MS = 1.0


@dataclass(frozen=True)
class Size:
    """``measured``: the share of the nodes whose speed the gateway knows."""

    nodes: tuple[int, ...] = (100, 1000, 10_000)
    requests: int = 2000
    measured: float = 0.8
    seed: int = 1


@dataclass
class Found:
    """Milliseconds of the thread's own processor time: of each ranking; of the first one of its kind; of all candidates ranked; of following one change."""

    rankings: list[float]
    first: float
    exact: float
    change: float


def measure(size: Size) -> dict[tuple[Strategy, int], Found]:
    return {(strategy, nodes): _measure(size, nodes, strategy) for strategy in STRATEGIES for nodes in size.nodes}


def _measure(size: Size, nodes: int, strategy: Strategy) -> Found:
    rng = random.Random(size.seed)
    candidates = Candidates()
    states = [_state(rng, number) for number in range(nodes)]
    for state in states:
        candidates.take(state, Registered(TENANT, state.node[-4:]), 0.0)
        if rng.random() < size.measured:
            candidates.observe(
                state.node, VERSION, now=0.0, first_token_ms=10 ** rng.uniform(1, 3), prompt_tokens=500, cached_tokens=0,
                prompt_ms=10 ** rng.uniform(1, 3), completion_tokens=100, eval_ms=10 ** rng.uniform(2, 4), load_ms=0.0,
            )  # fmt: skip
    profile = Profile(strategy)

    def ranked(turn: int, prompt: int) -> None:
        wanted = Wanted(TENANT, VERSION, profile, (prompt << 24 | 900,), prompt_tokens=900)
        listed, crowd, share = candidates.listed(wanted, lambda _: True, turn=turn)
        rank(wanted, listed, turn=turn, waiting=share, crowd=crowd)

    gc.collect()
    gc.freeze()
    first = _taken(lambda: ranked(0, 0))
    rankings, changes = [], []
    for turn in range(1, size.requests):
        rankings.append(_taken(lambda: ranked(turn, rng.getrandbits(32))))  # noqa: B023 - called at once
        node = rng.choice(states).node
        changes.append(_taken(lambda: candidates.given(node, 1 if turn % 2 else -1)))  # noqa: B023
    wanted = Wanted(TENANT, VERSION, profile, (1 << 24 | 900,), prompt_tokens=900)
    exact = quantile([_taken(lambda: rank(wanted, candidates.having(VERSION))) for _ in range(5)], 0.5)
    gc.unfreeze()
    return Found(rankings, first, exact, sum(changes) / len(changes))


def _taken(call: Callable[[], object]) -> float:
    begun = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - begun) / 1e6


def _state(rng: random.Random, number: int) -> NodeState:
    return NodeState(
        node=f"{number:032x}", tenant=TENANT, boot="b", seq=1, at=0.0, agent_version="1", tokens_per_second=0.0, cpu_percent=0.0, cpu_count=1,
        disk_used=0, disk_total=1, network_received_per_second=0.0, network_sent_per_second=0.0, waiting=0, memory_used=0, memory_total=10**11,
        capacity=rng.choice([4, 16]), running=rng.randint(0, 5), engines=[Engine("llamacpp", True)],
        models=[ModelState(VERSION, "m", rng.choice(["loaded", "loaded", "loaded", "ready"]), "llamacpp", size=10**9)],
    )  # fmt: skip


def missed(found: dict[tuple[Strategy, int], Found]) -> bool:
    return any(quantile(each.rankings, 0.99) > GOAL_MS for each in found.values())


def report(found: dict[tuple[Strategy, int], Found], size: Size) -> str:
    lines = [
        f"{size.requests} requests of each strategy; milliseconds of processor time",
        "",
        "| strategy | nodes that have the model | ranking: p50, p99 | the first of its kind | all ranked | following one change |",
        "|---|---|---|---|---|---|",
    ]
    for (strategy, nodes), each in found.items():
        lines.append(
            f"| {strategy} | {nodes:,} | {quantile(each.rankings, 0.5):.2f}, {quantile(each.rankings, 0.99):.2f} | {each.first:.1f} | "
            f"{each.exact:.2f} | {each.change:.4f} |"
        )
    return "\n".join(lines)

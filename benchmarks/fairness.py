"""Who waits how long, and who gets how much, when tenants want more than the nodes can do."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.client import expected_text
from benchmarks.fleet import Fleet
from benchmarks.interruptions import Clients, Told
from benchmarks.load import quantile
from benchmarks.product import ROOT, ask

EVERY = 10
"""Milliseconds from token to token."""
SETTLE = 6.0
"""Seconds at the beginning that are not counted: all clients have begun, and the queue is as it stays."""
WEIGHTS = (1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Size:
    """Seconds that are counted of each part."""

    nodes: int = 2
    slots: int = 4
    tokens: int = 50
    steady: tuple[int, ...] = (4, 16, 32)
    """Clients of the tenant that does not flood."""
    flood: int = 80
    tenants: int = 10
    flood_seconds: float = 15.0
    shares_seconds: float = 40.0
    weights_seconds: float = 20.0
    classes_seconds: float = 80.0
    allowed: int = 120
    """Seconds that a request may take, waiting included: a fifth of the product's own, so that classes age five times as fast."""

    @property
    def settings(self) -> dict[str, str]:
        return {"OLLAMAMAX_REQUEST_DEADLINE_SECONDS": str(self.allowed)}

    @property
    def engine(self) -> list[str]:
        return ["--first-token-ms", "10", "--owned-by", "vllm"]


@dataclass
class Beside:
    """Waits (seconds to the first token) and answers (seconds to the end) of the steady tenant, alone and beside the flood."""

    clients: int
    wait_alone: list[float]
    wait_beside: list[float]
    whole_alone: list[float]
    whole_beside: list[float]


@dataclass
class Outcome:
    beside: list[Beside]
    demands: list[tuple[int, int]]
    """Clients and tokens a request of each tenant."""
    shares: list[int]
    """Tokens that each of them got."""
    weighted: list[int]
    classes: dict[str, list[float]]
    """Waits by class, of all that were served."""
    told: list[Told]

    @property
    def wrong(self) -> int:
        return sum(not each.right or each.end != "ok" for each in self.told)


@dataclass
class Tenant:
    """A tenant's clients in one part of the run."""

    key: str
    clients: int
    tokens: int
    priority: str = "normal"


def prepare(fleet: Fleet, size: Size) -> list[list[str]]:
    """Share the operator's nodes and model with tenants made here; their keys."""
    names: list[dict[str, Any]] = [
        {"slug": f"equal-{number}", "weight": 1, "priorities": ["normal"]} for number in range(size.tenants)
    ]
    names += [{"slug": f"weight-{weight:g}", "weight": weight, "priorities": ["normal"]} for weight in WEIGHTS]
    names += [{"slug": "classes", "weight": 1, "priorities": ["high", "normal", "low"]}]
    return share(fleet, names)


def share(fleet: Fleet, tenants: list[dict[str, Any]]) -> list[list[str]]:
    """Make tenants (as `benchmarks.tenants` reads them) and share the operator's nodes and model with them; their keys."""
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.tenants"],
        cwd=ROOT, env=fleet.environ, input=json.dumps(tenants), capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode:
        raise RuntimeError(made.stderr[-2000:])
    api = f"{fleet.url}/api/v1"
    for node in ask(f"{api}/nodes", fleet.key)["results"]:
        ask(f"{api}/nodes/{node['id']}", fleet.key, {"shared": True}, method="PATCH")
    (model,) = [each["id"] for each in ask(f"{api}/models", fleet.key)["results"] if each["name"].startswith("stub")]
    ask(f"{api}/models/{model}", fleet.key, {"shared": True}, method="PATCH")
    time.sleep(3)
    keys: list[list[str]] = json.loads(made.stdout)
    return keys


def measure(fleet: Fleet, size: Size) -> Outcome:
    keys = prepare(fleet, size)
    equal, weighted, (high, normal, low) = keys[: size.tenants], keys[size.tenants : -1], keys[-1]
    told: list[Told] = []

    def run(tenants: Sequence[Tenant], seconds: float) -> list[Clients]:
        found = asyncio.run(_run(list(fleet.gateways), tenants, seconds))
        told.extend(each for clients in found for each in clients.told)
        return found

    beside = []
    for count in size.steady:
        steady = Tenant(equal[0][0], count, size.tokens)
        (alone,) = run([steady], size.flood_seconds)
        both = run([steady, Tenant(equal[1][0], size.flood, size.tokens)], size.flood_seconds)
        beside.append(Beside(count, _waits(alone), _waits(both[0]), _wholes(alone), _wholes(both[0])))
        print("  " + _line(beside[-1], size), flush=True)
    demands = [(4 + 2 * number, 10 * (1 + 7 * number % 10)) for number in range(size.tenants)]
    mixed = run([Tenant(key, *demand) for (key,), demand in zip(equal, demands, strict=True)], size.shares_seconds)
    shares = [_tokens(clients) for clients in mixed]
    print(f"  shares {shares}: {jain(shares):.4f}", flush=True)
    by_weight = [
        _tokens(each) for each in run([Tenant(key, 24, size.tokens) for (key,) in weighted], size.weights_seconds)
    ]
    print(f"  weights {by_weight}", flush=True)
    classes = run(
        [Tenant(high, 24, size.tokens, "high"), Tenant(normal, 2, size.tokens), Tenant(low, 2, size.tokens, "low")],
        size.classes_seconds,
    )
    by_class = {name: _waits(each, all_of=True) for name, each in zip(("high", "normal", "low"), classes, strict=True)}
    return Outcome(beside, demands, shares, by_weight, by_class, told)


async def _run(gateways: list[str], tenants: Sequence[Tenant], seconds: float) -> list[Clients]:
    over = asyncio.Event()
    groups = [
        Clients(gateways, each.key, each.clients, each.tokens, f"Count, every {EVERY} ms", priority=each.priority)
        for each in tenants
    ]
    running = [
        asyncio.create_task(group.run(over, expected_text(each.tokens)))
        for group, each in zip(groups, tenants, strict=True)
    ]
    begun = time.monotonic()
    await asyncio.sleep(SETTLE + seconds)
    for group in groups:
        group.counted = (begun + SETTLE, time.monotonic())
    over.set()
    await asyncio.gather(*running)
    return groups


def _counted(clients: Clients) -> list[Told]:
    begin, end = clients.counted
    return [each for each in clients.told if begin <= each.begun and each.token is not None and each.token <= end]


def _waits(clients: Clients, *, all_of: bool = False) -> list[float]:
    """Seconds to the first token."""
    found = clients.told if all_of else _counted(clients)
    return [each.token - each.begun for each in found if each.token is not None]


def _wholes(clients: Clients) -> list[float]:
    return [each.ended - each.begun for each in _counted(clients)]


def _tokens(clients: Clients) -> int:
    begin, end = clients.counted
    return sum(count for at, count in clients.arrived if begin <= at < end)


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 when all have the same, 1/n when one has all (https://arxiv.org/abs/cs/9809099)."""
    return sum(shares) ** 2 / (len(shares) * sum(each * each for each in shares))


def _line(each: Beside, size: Size) -> str:
    def both(values: list[float]) -> str:
        return f"{statistics.median(values):.2f}, {quantile(values, 0.99):.2f}" if values else "-"

    def times(alone: list[float], beside: list[float]) -> str:
        return f"{statistics.median(beside) / statistics.median(alone):.1f}" if alone and beside else "-"

    return (
        f"| {each.clients} | {both(each.wait_alone)} | {both(each.wait_beside)} | {times(each.wait_alone, each.wait_beside)} | "
        f"{both(each.whole_alone)} | {both(each.whole_beside)} | {times(each.whole_alone, each.whole_beside)} |"
    )


def report(outcome: Outcome, size: Size) -> str:
    total = sum(outcome.weighted)
    lines = [
        f"{size.nodes} nodes of {size.slots} slots, {size.tokens} tokens a request, one every {EVERY} ms; the other tenant floods with {size.flood} clients",
        "",
        "| clients | wait alone, s: p50, p99 | beside the flood | times | answer alone, s | beside the flood | times |",
        "|---|---|---|---|---|---|---|",
        *(_line(each, size) for each in outcome.beside),
        "",
        f"| tenant | {' | '.join(str(number) for number in range(1, len(outcome.shares) + 1))} |",
        "|---" * (len(outcome.shares) + 1) + "|",
        f"| clients | {' | '.join(str(clients) for clients, _ in outcome.demands)} |",
        f"| tokens a request | {' | '.join(str(tokens) for _, tokens in outcome.demands)} |",
        f"| tokens in {size.shares_seconds:g} s | {' | '.join(f'{share:,}' for share in outcome.shares)} |",
        "",
        f"Jain's index over tokens: {jain(outcome.shares):.4f}",
        f"Weights {', '.join(f'{weight:g}' for weight in WEIGHTS)}: shares {', '.join(f'{share / total:.3f}' for share in outcome.weighted)} "
        f"of {total:,} tokens; by weight {', '.join(f'{weight / sum(WEIGHTS):.3f}' for weight in WEIGHTS)}",
        f"Classes of one tenant in {size.classes_seconds:g} s, of {size.allowed} s that a request may take, then until all were answered: "
        + "; ".join(_class(name, waits) for name, waits in outcome.classes.items()),
        f"Requests with a wrong text or an error: {outcome.wrong} of {len(outcome.told):,}",
    ]
    return "\n".join(lines)


def _class(name: str, waits: list[float]) -> str:
    if not waits:
        return f"{name} none"
    return f"{name} {len(waits)} served, first token after {statistics.median(waits):.1f} s ({min(waits):.1f} to {max(waits):.1f})"

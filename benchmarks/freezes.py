"""What clients see when an engine, Redis, a gateway or the controller is frozen (SIGSTOP) while their streams are under way: it lives, and says nothing."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, field

from benchmarks.client import expected_text
from benchmarks.fleet import Fleet
from benchmarks.interruptions import Clients, Told
from benchmarks.load import quantile
from benchmarks.product import ask
from cluster.scheduling.silence import FLOOR

SECONDS = {
    "nothing": 5.0,
    "engine": FLOOR + 8,
    "redis": 20.0,
    "gateway": 5.0,
    "gateway, long": 30.0,
    "controller": 10.0,
}
"""For how long each is frozen; ``nothing``: the same measurement without that. The long one is longer than anybody believes a silent gateway to live: its
requests are given back, and the nodes that wrote to it must not be cut off for that."""
BEFORE = 3.0
AFTER = 8.0
"""Seconds after it goes on, in which what it did is counted."""


@dataclass(frozen=True)
class Size:
    """``streams`` in flight, of ``tokens`` tokens, one ``every`` so many milliseconds."""

    streams: int = 60
    tokens: int = 60
    every: int = 100
    first_token: int = 300
    nodes: int = 3
    slots: int = 64
    gateways: int = 2
    kinds: tuple[str, ...] = tuple(SECONDS)
    seed: int = 1

    @property
    def engine(self) -> list[str]:
        return ["--first-token-ms", str(self.first_token), "--owned-by", "vllm"]


@dataclass
class Freeze:
    """One freeze and the requests that were under way or began meanwhile."""

    seconds: float
    under_way: int
    told: list[Told] = field(default_factory=list)

    def failed(self) -> list[Told]:
        return [each for each in self.told if each.end != "ok"]

    def went_on(self) -> list[Told]:
        return [each for each in self.told if each.continued and each.end == "ok"]

    def silence(self) -> float:
        """The longest time in which a client heard nothing, from its request on."""
        return max((max(each.gap, (each.first or each.ended) - each.begun) for each in self.told), default=0.0)


@dataclass
class Outcome:
    freezes: dict[str, Freeze]
    told: list[Told]
    left: dict[str, int]
    without_record: int
    of_nodes: dict[str, list[str]]
    """What befell nodes (kinds of incidents), by what was frozen when it began."""

    @property
    def wrong(self) -> int:
        return sum(not each.right for each in self.told)


def measure(fleet: Fleet, size: Size) -> Outcome:
    return asyncio.run(_measure(fleet, size))


async def _measure(fleet: Fleet, size: Size) -> Outcome:
    rng = random.Random(size.seed)
    clients = Clients(list(fleet.gateways), fleet.key, size.streams, size.tokens, f"Count, every {size.every} ms")
    over = asyncio.Event()
    running = asyncio.create_task(clients.run(over, expected_text(size.tokens)))
    await asyncio.sleep(4)
    freezes, of_nodes = {}, {}
    known = await asyncio.to_thread(_incidents, fleet)
    for kind in size.kinds:
        freezes[kind] = await _freeze(fleet, clients, kind, rng)
        now = await asyncio.to_thread(_incidents, fleet)
        of_nodes[kind] = sorted(now[each] for each in now.keys() - known.keys())
        known = now
        print(f"  {_line(kind, freezes[kind])}; of nodes: {of_nodes[kind] or 'nothing'}", flush=True)
    over.set()
    await running
    _, left = await asyncio.to_thread(fleet.settled, 40)
    records = await asyncio.to_thread(fleet.records)
    asked = {each.request for each in clients.told if each.request and each.end != "refused"}
    return Outcome(freezes, clients.told, left, len(asked - records.keys()), of_nodes)


def _incidents(fleet: Fleet) -> dict[str, str]:
    """Kinds of the incidents about nodes, by their ids."""
    found = ask(f"{fleet.url}/api/v1/incidents?about=node", fleet.key)["results"]
    return {each["id"]: each["kind"] for each in found}


async def _freeze(fleet: Fleet, clients: Clients, kind: str, rng: random.Random) -> Freeze:
    await asyncio.sleep(BEFORE + rng.random())
    pid = await asyncio.to_thread(_pid, fleet, kind, rng)
    before = len(clients.told)
    freeze = Freeze(SECONDS[kind], len(clients.under_way))
    if pid:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(freeze.seconds)
        still = list(clients.under_way.values())
    finally:
        if pid:
            os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(AFTER)
    while any(each in clients.under_way.values() for each in still):  # noqa: ASYNC110 - they tell nobody
        await asyncio.sleep(0.1)
    freeze.told = clients.told[before:]
    return freeze


def _pid(fleet: Fleet, kind: str, rng: random.Random) -> int:
    if kind == "redis":
        return int(fleet.redis.info("server")["process_id"])
    if kind == "controller":
        asked = [sys.executable, "-m", "ollamamax.embedded", "status"]
        told = subprocess.run(asked, env=fleet.environ, capture_output=True, text=True, check=True).stdout
        line = next(line for line in told.splitlines() if line.split()[:1] == ["controller"])
        return int(line.split("pid ")[1].split(",")[0])
    parts = {"engine": fleet.engines, "gateway": fleet.gateways}.get(kind.partition(",")[0])
    return rng.choice(sorted(parts.values(), key=lambda part: part.name)).process.pid if parts else 0


def _line(kind: str, freeze: Freeze) -> str:
    gaps = [each.token_gap for each in freeze.went_on()] or [0.0]
    return (
        f"{kind:<14} {freeze.seconds:g} s, {freeze.under_way} under way, {len(freeze.told)} told: failed {len(freeze.failed())}, went on {len(freeze.went_on())} "
        f"(p99 {quantile(gaps, 0.99):.1f} s without a token), longest silence {freeze.silence():.1f} s "
        f"{sorted({each.complaint[:150] for each in freeze.failed()})[:3]}"
    )


def report(outcome: Outcome, size: Size) -> str:
    lines = [
        f"{size.streams} streams of {size.tokens} tokens, one every {size.every} ms; {size.nodes} nodes of {size.slots} slots, {size.gateways} "
        f"gateways; silence limit {FLOOR:g} s",
        "",
        "| frozen | for, s | in flight | requests | failed | went on elsewhere | without a token, s: p50, p99 | beyond the limit, p99, s | longest silence, s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, freeze in outcome.freezes.items():
        gaps = [each.token_gap for each in freeze.went_on()]
        lines.append(
            f"| {kind} | {freeze.seconds:g} | {freeze.under_way} | {len(freeze.told)} | {len(freeze.failed())} | {len(gaps)} | "
            + (f"{quantile(gaps, 0.5):.1f}, {quantile(gaps, 0.99):.1f} | " if gaps else "- | ")
            + (f"{quantile(gaps, 0.99) - FLOOR:.1f} | " if gaps and kind == "engine" else "- | ")
            + f"{freeze.silence():.1f} |"
        )
    lines += [
        "",
        f"{len(outcome.told):,} requests; with a wrong text: {outcome.wrong}. Left in Redis: {outcome.left or 'nothing'}. Requests without a usage "
        f"record: {outcome.without_record}. Incidents of nodes: {({kind: each for kind, each in outcome.of_nodes.items() if each}) or 'none'}",
    ]
    return "\n".join(lines)

"""What clients see when a node, an engine or a gateway is killed while 200 of their streams are under way."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.client import expected_text
from benchmarks.fleet import Fleet, Part
from benchmarks.interruptions import Clients, Told
from benchmarks.load import quantile

KINDS = ("nothing", "node", "engine", "gateway")
"""``nothing``: the same measurement without a kill, for what the machine does by itself."""
BEFORE = 4.0
WATCHED = 10.0
"""Seconds for which what was killed stays dead, and its consequences are counted."""
SLOTS_PATIENCE = 30.0
BACK = 0.9
"""Throughput is back when a second carries so much of what one carried before."""


@dataclass(frozen=True)
class Size:
    """``streams`` in flight, of ``tokens`` tokens, one ``every`` so many milliseconds, the first after ``first_token`` of them."""

    streams: int = 200
    rounds: int = 3
    tokens: int = 60
    every: int = 100
    first_token: int = 500
    nodes: int = 3
    slots: int = 128
    gateways: int = 2
    kinds: tuple[str, ...] = KINDS
    seed: int = 1

    @property
    def engine(self) -> list[str]:
        return ["--first-token-ms", str(self.first_token), "--owned-by", "vllm"]


@dataclass
class Kill:
    """One kill and what followed."""

    victim: str
    at: float
    under_way: int
    """Streams at that moment."""
    told: list[Told] = field(default_factory=list)
    """Of those that were under way, or began while it was dead."""
    back: float = 0.0
    """Seconds until throughput was back."""
    slots_back: float = 0.0
    """Seconds until no slot was taken for nobody any more, where a gateway was killed."""

    def before_first_byte(self) -> list[Told]:
        return [each for each in self.told if each.first is None or each.end == "refused"]

    def gave_up(self) -> int:
        """Requests that failed before the first byte though they were tried again."""
        return sum(each.again == 2 for each in self.before_first_byte())

    def went_on(self) -> list[Told]:
        return [each for each in self.told if each.continued and each.end == "ok"]

    def broken(self) -> list[Told]:
        return [each for each in self.told if each.end in {"error", "cut"} and each.first is not None]


@dataclass
class Outcome:
    """``kills`` by kind; ``left`` is what was still in Redis when all was over."""

    kills: dict[str, list[Kill]]
    told: list[Told]
    settled: float
    left: dict[str, int]
    without_record: int
    records: Counter[str]

    @property
    def wrong(self) -> int:
        """Streams whose text was neither whole nor, where they broke, a beginning of it."""
        return sum(not each.right for each in self.told)


def measure(fleet: Fleet, size: Size) -> Outcome:
    return asyncio.run(_measure(fleet, size))


async def _measure(fleet: Fleet, size: Size) -> Outcome:
    rng = random.Random(size.seed)
    message = f"Count, every {size.every} ms"
    clients = Clients(list(fleet.gateways), fleet.key, size.streams, size.tokens, message)
    over = asyncio.Event()
    running = asyncio.create_task(clients.run(over, expected_text(size.tokens)))
    await asyncio.sleep(6)
    kills: dict[str, list[Kill]] = {kind: [] for kind in size.kinds}
    for number in range(size.rounds):
        for kind in size.kinds:
            kill = await _kill(fleet, clients, kind, rng)
            kills[kind].append(kill)
            print(f"  {number + 1} {_line(kind, kill)}", flush=True)
    over.set()
    await running
    took, left = await asyncio.to_thread(fleet.settled, 40)
    records = await asyncio.to_thread(fleet.records)
    asked = {each.request for each in clients.told if each.request and each.end != "refused"}
    return Outcome(kills, clients.told, took, left, len(asked - records.keys()), Counter(records.values()))


async def _kill(fleet: Fleet, clients: Clients, kind: str, rng: random.Random) -> Kill:
    parts = {"node": fleet.nodes, "engine": fleet.engines, "gateway": fleet.gateways}
    await asyncio.sleep(BEFORE + rng.random())
    victim: Part | None = (
        rng.choice(sorted(parts[kind].values(), key=lambda part: part.name)) if kind in parts else None
    )
    kill = Kill(victim.name if victim else "", time.monotonic(), len(clients.under_way))
    tried_before = len(clients.told)
    usual = clients.rate(kill.at - BEFORE, kill.at)
    if victim is not None:
        victim.kill()
    if kind == "gateway":
        kill.slots_back = await _slots_back(fleet, kill.at)
    await asyncio.sleep(max(0.0, kill.at + WATCHED - time.monotonic()))
    kill.told = [each for each in clients.told[tried_before:] if each.begun < kill.at + WATCHED / 2]
    still = [each for each in clients.under_way.values() if each.begun < kill.at + WATCHED / 2]
    kill.back = _back(clients, kill.at, usual)
    if victim is not None:
        victim.restart()
        await asyncio.to_thread(fleet.wait)
    # Those that take longer, because they were interrupted.
    while still and any(each in clients.under_way.values() for each in still):  # noqa: ASYNC110 - they tell nobody
        await asyncio.sleep(0.1)
    kill.told += still
    return kill


async def _slots_back(fleet: Fleet, at: float) -> float:
    """Seconds until no slot is taken for a gateway that is gone."""
    await asyncio.sleep(0.3)  # its connections close
    while (waited := time.monotonic() - at) < SLOTS_PATIENCE:
        if not await asyncio.to_thread(fleet.orphans):
            break
        await asyncio.sleep(0.1)
    return waited


def _back(clients: Clients, at: float, usual: float) -> float:
    step = 0.1
    for number in range(int((WATCHED - 1) / step)):
        begin = at + number * step
        if clients.rate(begin, begin + 1.0) >= BACK * usual:
            return number * step
    return WATCHED


def _line(kind: str, kill: Kill) -> str:
    gaps = [each.gap for each in kill.went_on()]
    return (
        f"{kind:<8} {kill.victim:<18} {kill.under_way} under way; before the first byte {len(kill.before_first_byte())}; went on "
        f"{len(gaps)}, pause p50 {quantile(gaps or [0.0], 0.5):.2f} p99 {quantile(gaps or [0.0], 0.99):.2f} s; broken {len(kill.broken())}; "
        f"back after {kill.back:.1f} s, slots {kill.slots_back:.1f} s {sorted({each.complaint[:150] for each in (*kill.broken(), *kill.before_first_byte())})[:3]}"
    )


def report(outcome: Outcome, size: Size) -> str:
    lines = [
        f"{size.streams} streams of {size.tokens} tokens, one every {size.every} ms, the first after {size.first_token} ms; {size.nodes} nodes of "
        f"{size.slots} slots, {size.gateways} gateways; {size.rounds} kills of each, the dead stays dead for {WATCHED:g} s",
        "",
        "| killed | in flight | failed before the first byte | the same, after retries | went on elsewhere | pause of those, s: p50, p99 | broke | "
        "throughput back, s: p50, worst | slots back, s: p50, worst |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, kills in outcome.kills.items():
        gaps = [each.gap for kill in kills for each in kill.went_on()]
        back, slots = [kill.back for kill in kills], [kill.slots_back for kill in kills]
        lines.append(
            f"| {kind} | {sum(kill.under_way for kill in kills):,} | {sum(len(kill.before_first_byte()) for kill in kills)} | "
            f"{sum(kill.gave_up() for kill in kills)} | {len(gaps)} | "
            + (f"{quantile(gaps, 0.5):.2f}, {quantile(gaps, 0.99):.2f}" if gaps else "-")
            + f" | {sum(len(kill.broken()) for kill in kills)} | {quantile(back, 0.5):.1f}, {max(back):.1f} | "
            + (f"{quantile(slots, 0.5):.1f}, {max(slots):.1f} |" if kind == "gateway" else "- |")
        )
    lines += [
        "",
        f"{len(outcome.told):,} requests; with a wrong text: {outcome.wrong}. Left in Redis {outcome.settled:.1f} s after the last: "
        f"{outcome.left or 'nothing'}. Requests without a usage record: {outcome.without_record}; records: {dict(outcome.records)}",
    ]
    return "\n".join(lines)

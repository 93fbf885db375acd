"""What the way through OllamaMax costs, beside asking the engine directly: time to first token, throughput, memory."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from benchmarks.client import Result
from benchmarks.load import WAYS, Load, quantile, spread
from benchmarks.product import Product

TOKENS = 32
ALONE_EVERY = 1
"""Milliseconds between the tokens that a lone client gets: the first does not wait for the others to be read."""
IDLE_PAUSE = 2.5
"""Seconds between requests of somebody who is alone and in no hurry."""


@dataclass(frozen=True)
class Size:
    """Rounds, and requests by concurrency in each; ``idle`` requests with a pause before each.

    ``ahead``: with real-time priority, for a machine that does other work too.
    """

    rounds: int = 5
    requests: tuple[tuple[int, int], ...] = ((1, 300), (16, 1000), (64, 1500))
    idle: int = 10
    ahead: bool = False


@dataclass
class Measured:
    """Results by concurrency and way, one a round; processor seconds of each process at the highest concurrency."""

    results: dict[tuple[int, str], list[Result]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    idle: Result | None = None

    def all(self) -> list[Result]:
        return [*(each for results in self.results.values() for each in results), *filter(None, [self.idle])]

    def wrong(self) -> int:
        return sum(result.wrong for result in self.all())


def measure(product: Product, size: Size) -> Measured:
    """Direct and through the gateway in turns, round by round; one short round before, which does not count."""
    measured = Measured()
    if size.ahead:
        product.put_ahead()
    with Load(ahead=size.ahead) as load:
        for way in WAYS:
            load.run(product, way, concurrency=16, requests=64, tokens=TOKENS)
        for _ in range(size.rounds):
            for concurrency, requests in size.requests:
                for way in WAYS:
                    before = product.cpu()
                    every = ALONE_EVERY if concurrency == 1 else 0
                    result = load.run(
                        product, way, concurrency=concurrency, requests=requests, tokens=TOKENS, every=every
                    )
                    measured.results.setdefault((concurrency, way), []).append(result)
                    if way == "gateway" and concurrency == size.requests[-1][0]:
                        for name, spent in product.cpu().items():
                            measured.cpu.setdefault(name, []).append((spent - before[name]) * 1000 / requests)
        if size.idle:
            measured.idle = load.run(
                product,
                "gateway",
                concurrency=1,
                requests=size.idle,
                tokens=TOKENS,
                pause=IDLE_PAUSE,
                every=ALONE_EVERY,
            )
    return measured


def report(measured: Measured, memory: dict[str, float], idle_memory: dict[str, float]) -> str:
    """The figures as text; medians of the rounds, least and most in parentheses."""
    lines = ["Time to first token, ms" + f"{'direct':>31}{'gateway':>24}{'added':>24}"]
    levels = sorted({concurrency for concurrency, _ in measured.results})
    for concurrency in levels:
        rounds = list(zip(*(measured.results[concurrency, way] for way in WAYS), strict=True))
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            pairs = [[quantile(result.first_token, share) * 1000 for result in pair] for pair in rounds]
            columns = [*zip(*pairs, strict=True), [gateway - direct for direct, gateway in pairs]]
            clients = f"{concurrency} client{'s' * (concurrency > 1)}"
            lines.append(f"  {clients:<12} {name:<6}" + "".join(f"{spread(column):>24}" for column in columns))
    if measured.idle is not None:
        direct = measured.results[levels[0], "direct"]
        base = statistics.median(quantile(result.first_token, 0.5) * 1000 for result in direct)
        woken = quantile(measured.idle.first_token, 0.5) * 1000
        lines.append(f"  after a pause p50  {base:>24.2f}{woken:>24.2f}{woken - base:>24.2f}")
    lines.append("\nThroughput" + f"{'direct':>44}{'gateway':>24}{'ratio':>24}")
    for concurrency in levels:
        rates = [
            [len(result.duration) / result.seconds for result in pair]
            for pair in zip(*(measured.results[concurrency, way] for way in WAYS), strict=True)
        ]
        ratios = [gateway / direct for direct, gateway in rates]
        clients = f"{concurrency} client{'s' * (concurrency > 1)}"
        for unit, factor in (("requests/s", 1), ("tokens/s", TOKENS)):
            columns = [[rate * factor for rate in column] for column in zip(*rates, strict=True)]
            row = "".join(f"{spread(column, '{:.0f}'):>24}" for column in columns)
            lines.append(f"  {clients:<12} {unit:<16}{row}{spread(ratios):>24}")
    lines.append(
        f"\nOf each process: processor ms a request at {levels[-1]} clients, resident MB before and after the load"
    )
    for name, megabytes in memory.items():
        cpu = spread(measured.cpu[name])
        lines.append(f"  {name:<16}{cpu:>24}{idle_memory[name]:>12.0f}{megabytes:>8.0f}")
    total = [sum(each) for each in zip(*measured.cpu.values(), strict=True)]
    lines.append(f"  {'all':<16}{spread(total):>24}{sum(idle_memory.values()):>12.0f}{sum(memory.values()):>8.0f}")
    complaint = next((result.complaint for result in measured.all() if result.wrong), "")
    lines.append(f"\nStreams that lost, doubled or swapped a token: {measured.wrong()} {complaint}".rstrip())
    return "\n".join(lines)

"""Two checkouts of the product in one run, in turns: what a change gained or cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.client import Result
from benchmarks.load import Load, quantile, spread
from benchmarks.overhead import TOKENS
from benchmarks.product import Product

SIDES = ("here", "there")


@dataclass(frozen=True)
class Size:
    """As `overhead.Size`."""

    rounds: int = 7
    requests: tuple[tuple[int, int], ...] = ((1, 200), (64, 800))
    ahead: bool = False


@dataclass
class Side:
    """One round of one checkout at one concurrency; processor milliseconds a request, by process."""

    result: Result
    cpu: dict[str, float] = field(default_factory=dict)


Rounds = dict[int, list[tuple[Side, Side]]]


def measure(here: Product, there: Product, size: Size) -> Rounds:
    """Pairs of (here, there) by concurrency, one a round; who begins changes."""
    rounds: Rounds = {concurrency: [] for concurrency, _ in size.requests}
    if size.ahead:
        here.put_ahead()
        there.put_ahead()
    with Load(ahead=size.ahead) as load:

        def side(product: Product, concurrency: int, requests: int) -> Side:
            before = product.cpu()
            result = load.run(product, "gateway", concurrency=concurrency, requests=requests, tokens=TOKENS)
            return Side(result, {k: (v - before[k]) * 1000 / requests for k, v in product.cpu().items()})

        for product in (here, there):
            side(product, 16, 64)
        for number in range(size.rounds):
            for concurrency, requests in size.requests:
                if number % 2:
                    second = side(there, concurrency, requests)
                    rounds[concurrency].append((side(here, concurrency, requests), second))
                else:
                    first = side(here, concurrency, requests)
                    rounds[concurrency].append((first, side(there, concurrency, requests)))
    return rounds


def report(rounds: Rounds) -> str:
    lines = []
    for concurrency, pairs in rounds.items():
        head = f"{concurrency} client{'s' * (concurrency > 1)}"
        lines.append(f"{head:<28}{'here':>26}{'there':>26}{'here : there':>26}")
        for share, name in ((0.5, "first token p50, ms"), (0.99, "first token p99, ms")):
            lines.append(_row(name, [[quantile(s.result.first_token, share) * 1000 for s in pair] for pair in pairs]))
        lines.append(_row("requests/s", [[len(s.result.duration) / s.result.seconds for s in pair] for pair in pairs]))
        lines.append(_row("processor ms a request", [[sum(s.cpu.values()) for s in pair] for pair in pairs]))
        lines += [
            _row(f"  {name}", [[s.cpu[name] for s in pair] for pair in pairs])
            for name in pairs[0][0].cpu
            if statistics.median(s.cpu[name] for pair in pairs for s in pair) > 0
        ]
        lines.append("")
    wrong = sum(side.result.wrong for pairs in rounds.values() for pair in pairs for side in pair)
    return "\n".join([*lines, f"Streams that lost, doubled or swapped a token: {wrong}"])


def _row(name: str, pairs: Sequence[Sequence[float]]) -> str:
    here, there = zip(*pairs, strict=True)
    ratios = [mine / theirs for mine, theirs in pairs if theirs]
    return f"  {name:<26}{spread(here):>26}{spread(there):>26}{spread(ratios):>26}"

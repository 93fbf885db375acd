"""Every token of many concurrent streams, through the whole way: none lost, none twice, none out of order."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.client import Result
from benchmarks.load import Load
from benchmarks.product import Product

PACES = (0, 5)
"""Milliseconds between an engine's tokens: all at once, which makes few large frames, and as models do, which makes many."""


@dataclass(frozen=True)
class Size:
    """``tokens`` at each pace."""

    tokens: int = 100_000
    per_stream: int = 250
    concurrency: int = 100
    """More than the node has slots, so that some wait in its inbox."""

    @property
    def streams(self) -> int:
        return -(-self.tokens // self.per_stream)


def measure(product: Product, size: Size) -> dict[int, Result]:
    """The result at each pace."""
    with Load() as load:
        return {
            every: load.run(
                product,
                "gateway",
                concurrency=size.concurrency,
                requests=size.streams,
                tokens=size.per_stream,
                every=every,
            )
            for every in PACES
        }


def report(results: dict[int, Result], size: Size) -> str:
    lines = [f"Tokens lost, doubled or out of order, {size.concurrency} streams at once"]
    for every, result in results.items():
        streams = len(result.duration)
        lines.append(
            f"  {'a token every ' + str(every) + ' ms' if every else 'all tokens at once':<24}"
            f"{streams * size.per_stream:>9,} tokens in {streams} streams, each in {result.parts / streams:.0f} parts, "
            f"{result.seconds:.1f} s: {result.wrong} streams wrong {result.complaint}".rstrip()
        )
    return "\n".join(lines)

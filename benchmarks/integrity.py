"""Every token of many concurrent streams, through the whole way: none lost, none twice, none out of order."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.client import Result
from benchmarks.load import Load
from benchmarks.product import Product


@dataclass(frozen=True)
class Size:
    tokens: int = 100_000
    per_stream: int = 250
    concurrency: int = 100
    """More than the node has slots, so that some wait in its inbox."""

    @property
    def streams(self) -> int:
        return -(-self.tokens // self.per_stream)


def measure(product: Product, size: Size) -> Result:
    with Load() as load:
        return load.run(product, "gateway", concurrency=size.concurrency, requests=size.streams, tokens=size.per_stream)


def report(result: Result, size: Size) -> str:
    streams = len(result.duration)
    text = (
        f"{streams * size.per_stream:,} tokens in {streams} streams, {size.concurrency} at once, in {result.seconds:.1f} s: "
        f"{result.wrong} streams wrong"
    )
    return text + (f" ({result.complaint})" if result.wrong else "")

"""Starts the client and hands it jobs; figures of what comes back."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.client import Job, Result
from benchmarks.product import MODEL, ROOT, Product, put_ahead

WAYS = ("direct", "gateway")
"""How a request reaches the engine."""


class Load:
    """The client's process. ``with`` starts and ends it; ``ahead`` as `product.put_ahead`."""

    def __init__(self, *, ahead: bool = False) -> None:
        self._ahead = ahead

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.client"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if self._ahead:
            put_ahead(self._process.pid)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
        else:
            self._process.kill()
        self._process.wait(30)

    def run(
        self,
        product: Product,
        way: str,
        *,
        concurrency: int,
        requests: int,
        tokens: int,
        pause: float = 0.0,
        every: int = 0,
    ) -> Result:
        """One job; returns when all its streams ended."""
        url = product.engine_url if way == "direct" else product.url
        return self.do(Job(url, MODEL, product.key, concurrency, requests, tokens, pause, every))

    def do(self, job: Job) -> Result:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Result)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of the values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """The median of some rounds, and between what they lay; a dash when there was nothing to measure."""
    if not values:
        return "-"
    least, most = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} ({least} to {most})"

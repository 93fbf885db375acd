"""Many streams open at once on one gateway: what the process weighs, and that each stream is whole."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks.client import Job, Result
from benchmarks.load import Load
from benchmarks.product import MODEL, Product, ask
from benchmarks.ways import Way

GOAL_MB = 300


@dataclass(frozen=True)
class Size:
    """``streams`` at once, each of ``tokens`` with ``every`` milliseconds between."""

    streams: int = 1000
    tokens: int = 100
    every: int = 200


@dataclass
class Measured:
    """MB (PSS) of the process before and at most, by way; streams that ran at once on the engine."""

    before: float
    most: float
    at_once: int
    result: Result


def measure(product: Product, ways: Sequence[Way], size: Size) -> dict[str, Measured]:
    """One way after the other; the product's node must have a slot for each stream."""
    found = {}
    with Load() as load:
        for way in ways:
            processes = [each for tops in way.processes.values() for each in tops]
            before, watched = _weigh(processes), _Watch(product, processes)
            job = Job(
                way.url, MODEL, way.key, size.streams, size.streams, size.tokens, every=size.every, patience=300.0
            )
            result = load.do(job)
            watched.stop()
            found[way.name] = Measured(before, watched.most, watched.at_once, result)
    return found


class _Watch:
    """Looks twice a second, in a thread."""

    def __init__(self, product: Product, processes: list[psutil.Process]) -> None:
        self._product = product
        self._processes = processes
        self._end = threading.Event()
        self.most = 0.0
        self.at_once = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.5):
            self.most = max(self.most, _weigh(self._processes))
            self.at_once = max(self.at_once, int(ask(f"{self._product.engine_url}/stub", "", seconds=30)["running"]))

    def stop(self) -> None:
        self._end.set()
        self._thread.join(60)


def _weigh(processes: list[psutil.Process]) -> float:
    return sum(process.memory_full_info().pss for process in processes) / 1e6


def report(found: dict[str, Measured], size: Size) -> str:
    """Markdown: a row a way."""
    lines = [
        f"{size.streams} streams of {size.tokens} tokens, one each {size.every} ms",
        "",
        "| | before, MB (PSS) | most, MB | goal | at once on the engine | s | streams wrong |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, measured in found.items():
        missed = "" if measured.most <= GOAL_MB else ", missed"
        result = measured.result
        lines.append(
            f"| {name} | {measured.before:.0f} | {measured.most:.0f} | below {GOAL_MB}{missed} | {measured.at_once} "
            f"| {result.seconds:.0f} | {result.wrong} {result.complaint[:120]} |"
        )
    return "\n".join(lines)

"""Several ways to the same engine, measured in turns in one run: what each adds, carries and weighs."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from benchmarks.client import Job, Result
from benchmarks.load import Load, quantile
from benchmarks.product import MODEL

TOKENS = 32
DIRECT = "the engine itself"


@dataclass
class Way:
    """Where a request goes, and the processes that carry it; ``problem`` says why it could not be measured."""

    name: str
    url: str = ""
    key: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    processes: dict[str, list[psutil.Process]] = field(default_factory=dict)
    """By what they are: they and all their children are weighed."""
    problem: str = ""

    def memory(self) -> dict[str, float]:
        """MB of each part: the share of memory that is its own or divided among those who have it (PSS)."""
        return {name: sum(map(_weigh, tops)) / 1e6 for name, tops in self.processes.items()}


def _weigh(top: psutil.Process) -> int:
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += int(process.memory_full_info().pss)
    return total


@dataclass(frozen=True)
class Test:
    """One kind of load. ``seconds`` bounds how long requests begin, ``requests`` how many.

    The engine makes the first token after ``first`` ms, and one each ``every`` ms from then on; at 0 all at once.
    """

    name: str
    clients: int
    stream: bool = True
    first: int = 0
    every: int = 0
    tokens: int = TOKENS
    seconds: float = 2.5
    requests: int = 1_000_000

    def job(self, way: Way) -> Job:
        return Job(
            way.url,
            MODEL,
            way.key or "none",
            self.clients,
            self.requests,
            self.tokens,
            first=self.first,
            every=self.every,
            stream=self.stream,
            seconds=self.seconds,
            patience=10.0,
            headers=way.headers,
        )


ALONE = Test("1 client, streams", 1, every=1, tokens=8, seconds=5.0)
"""Its tokens come one by one: of those that come at once the first would wait for the others to be read."""
TOGETHER = Test("64 paced streams that begin together", 64, first=10, every=20, requests=128, seconds=4.0)
"""All begin at one moment, and once more when the first have ended."""
PACED = Test("64 paced streams for 10 s", 64, first=10, every=20, seconds=10.0)
"""Each client begins the next when its last has ended: after some rounds they no longer begin together."""
CARRIED = (
    Test("16 clients, streams", 16),
    Test("64 clients, streams", 64),
    Test("16 clients, whole", 16, stream=False),
    Test("64 clients, whole", 64, stream=False),
)
TESTS = (ALONE, *CARRIED, TOGETHER, PACED)


@dataclass
class Measured:
    """Results by test and way, one a round; MB by way and part after the load; load averages before and after."""

    ways: list[Way]
    results: dict[tuple[str, str], list[Result]] = field(default_factory=dict)
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    busy: tuple[float, float] = (0.0, 0.0)


def measure(ways: Sequence[Way], rounds: int, tests: Sequence[Test] = TESTS) -> Measured:
    """All ways in turns, each round in another order; a short warm-up before, which finds those that do not work."""
    measured = Measured(list(ways))
    before = os.getloadavg()[0]
    with Load() as load:
        for way in ways:
            if not way.problem:
                job = Job(way.url, MODEL, way.key or "none", 4, 32, TOKENS, patience=10.0, headers=way.headers)
                answer = load.do(job)
                if not answer.duration:
                    way.problem = f"no good answer: {answer.complaint}"
        for number in range(rounds):
            for test in tests:
                for way in _turned(list(ways), number):
                    if not way.problem:
                        measured.results.setdefault((test.name, way.name), []).append(load.do(test.job(way)))
    measured.memory = {way.name: way.memory() for way in ways if not way.problem}
    measured.busy = (before, os.getloadavg()[0])
    return measured


def _turned(ways: list[Way], number: int) -> list[Way]:
    number %= len(ways)
    return ways[number:] + ways[:number]


def rate(result: Result) -> float:
    return len(result.duration) / result.seconds


def added(measured: Measured, test: str, way: str, share: float) -> list[float]:
    """Milliseconds to the first token beyond the engine's own, one a round; none where nothing was good."""
    pairs = zip(measured.results.get((test, way), []), measured.results[test, DIRECT], strict=False)
    return [
        (quantile(mine.first_token, share) - quantile(direct.first_token, share)) * 1000
        for mine, direct in pairs
        if mine.first_token and direct.first_token
    ]


def _cell(values: Sequence[float], form: str) -> str:
    """The median, and in parentheses the least and most round."""
    if not values:
        return "failed"
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} ({low} to {high})"


def report(measured: Measured) -> str:
    """Markdown: a row a way."""
    carries = [
        test for test in TESTS if test not in (ALONE, TOGETHER, PACED) and (test.name, DIRECT) in measured.results
    ]
    columns: list[tuple[str, Callable[[str], str]]] = [
        ("added to first token, 1 client: p50, ms", _added(measured, ALONE.name)),
        ("p99, ms", lambda way: _cell(added(measured, ALONE.name, way, 0.99), "{:.1f}")),
        *((f"{test.name}: requests/s", _rates(measured, test.name)) for test in carries),
        *((f"added to first token, {test.name}: p50, ms", _added(measured, test.name)) for test in (PACED, TOGETHER)),
    ]
    lines = [
        "| | " + " | ".join(name for name, _ in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for way in measured.ways:
        cells = [f"not measured: {way.problem}"] if way.problem else [cell(way.name) for _, cell in columns]
        lines.append(f"| {way.name} | " + " | ".join([*cells, *[""] * (len(columns) - len(cells))]) + " |")
    lines += ["", "| memory after the load (PSS), MB | all | of which |", "|---|---|---|"]
    for name, parts in measured.memory.items():
        of_which = ", ".join(f"{part} {size:.0f}" for part, size in parts.items()) if len(parts) > 1 else ""
        lines.append(f"| {name} | {sum(parts.values()):.0f} | {of_which} |")
    lines += ["", f"Load average {measured.busy[0]:.2f} before, {measured.busy[1]:.2f} after."]
    return "\n".join([*lines, *wrongs(measured)])


def _added(measured: Measured, test: str) -> Callable[[str], str]:
    return lambda way: _cell(added(measured, test, way, 0.5), "{:.1f}")


def _rates(measured: Measured, test: str) -> Callable[[str], str]:
    def cell(way: str) -> str:
        found = measured.results.get((test, way), [])
        return _cell([rate(each) for each in found if each.duration], "{:.0f}")

    return cell


def wrongs(measured: Measured) -> list[str]:
    """A sentence for each way and test in which answers were wrong or missing."""
    lines = []
    for (test, way), results in measured.results.items():
        if wrong := sum(result.wrong for result in results):
            good = sum(len(result.duration) for result in results)
            complaint = next(result.complaint for result in results if result.wrong)
            lines.append(f"{way}, {test}: {wrong} of {wrong + good} answers wrong or missing ({complaint[:160]}).")
    return lines or ["Every answer of every way was whole and in order."]


def ratio(measured: Measured, test: str, ours: str, theirs: str) -> float | None:
    """How many times as many answers a second; ``None`` when either was not measured."""
    mine, others = measured.results.get((test, ours), []), measured.results.get((test, theirs), [])
    pairs = [rate(a) / rate(b) for a, b in zip(mine, others, strict=False) if b.duration and a.duration]
    return statistics.median(pairs) if pairs else None

"""What the chaos suite saw of each fault, how it is judged, and the table that it writes into ``docs/chaos.md``."""

from __future__ import annotations

import datetime
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos_faults import Trial
from benchmarks.interruptions import RETRIED, RETRIES, Told
from benchmarks.product import ROOT
from cluster.experiments.figures import CountedRequest, Pair, PhaseDifference, compare, figures_of

DOCUMENT = ROOT / "docs" / "chaos.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
STEADY_FIRST_TOKEN_MS = 2000.0
"""What a phase without a fault may take for a first token (p95), of which the stub engine takes a tenth of a second: on a machine that is busier nodes count as lost by
themselves, and nothing follows from what they do."""
LONGER = 1.5
"""How much longer than all in the phase without the fault a request waits for a token that counts as disturbed."""


@dataclass(frozen=True)
class Size:
    """``streams`` in flight, of ``tokens`` tokens, one ``every`` so many milliseconds; ``repeats`` of each pair of phases."""

    streams: int = 24
    tokens: int = 20
    every: int = 50
    first_token: int = 100
    nodes: int = 3
    slots: int = 32
    gateways: int = 2
    repeats: int = 3
    seed: int = 1
    most_seconds: float = 1500.0
    """What would begin later is left out, and the table says so."""

    @property
    def engine(self) -> list[str]:
        return ["--first-token-ms", str(self.first_token), "--owned-by", "vllm"]


@dataclass
class Seen:
    """What clients saw of one phase, try by try. ``back``: seconds from its beginning until all was well again; ``None``: it was not while somebody looked."""

    told: list[Told]
    began: float = 0.0
    back: float | None = 0.0

    @property
    def requests(self) -> list[CountedRequest]:
        """What became of each request at its last try."""
        last = [each for each in self.told if is_last(each)]
        return [
            CountedRequest(is_failed(each), None if each.token is None else (each.token - each.begun) * 1000)
            for each in last
        ]

    @property
    def tries_lost(self) -> int:
        return sum(is_lost(each) for each in self.told)

    @property
    def lost(self) -> int:
        """Requests, after their retries."""
        return sum(is_lost(each) and is_last(each) for each in self.told)

    @property
    def broken(self) -> int:
        return sum(is_failed(each) and not is_lost(each) for each in self.told)


@dataclass
class Result:
    """``pairs`` of what was seen without and with the fault; ``incidents`` that opened meanwhile, by kind."""

    trial: Trial
    pairs: list[tuple[Seen, Seen]] = field(default_factory=list)
    incidents: set[str] = field(default_factory=set)
    left_out: str = ""

    @property
    def unsteady(self) -> str:
        """Why the phases without the fault are nothing to compare with; empty where they are."""
        for control, _ in self.pairs:
            p95 = figures_of(control.requests).first_token_p95_ms
            if control.lost or control.broken:
                return "requests failed without the fault, too"
            if p95 is None or p95 > STEADY_FIRST_TOKEN_MS:
                told = "nothing was answered" if p95 is None else f"a first token took {p95:,.0f} ms (p95)"
                return f"{told} without the fault, too: the machine was too busy"
        return ""

    @property
    def verdict(self) -> str:
        if not self.pairs or self.unsteady:
            return "no data"
        faults = [fault for _, fault in self.pairs]
        asked, lost = sum(len(each.requests) for each in faults), sum(each.lost for each in faults)
        if not asked or any(each.back is None for each in faults):
            return "broken"
        is_held = lost / asked <= self.trial.lost and all((each.back or 0.0) <= self.trial.recovery for each in faults)
        return "held" if is_held else "broken"


def is_lost(told: Told) -> bool:
    """Before the first byte of an answer."""
    return told.end != "ok" and (told.first is None or told.end == "refused")


def is_failed(told: Told) -> bool:
    return told.end != "ok"


def is_last(told: Told) -> bool:
    """Whether the client tries it no more."""
    tried_again = told.first is None or any(each in told.status for each in RETRIED)
    return not is_failed(told) or not is_lost(told) or not tried_again or told.again == RETRIES


def recovery(control: Seen, fault: Seen) -> float:
    """Seconds from the beginning of the fault until the last request was undisturbed again: one that failed has ended, one that waited for a token so much longer
    (`LONGER`) than any did in the phase without the fault has it."""
    first = LONGER * max((each.token - each.begun for each in control.told if each.token is not None), default=0.0)
    gap = LONGER * max((each.token_gap for each in control.told), default=0.0)
    over = fault.began
    for each in fault.told:
        if is_failed(each):
            over = max(over, each.ended)
            continue
        if each.token is not None and each.token - each.begun > first:
            over = max(over, each.token)
        if each.token_gap > gap:
            over = max(over, each.token_gap_end)
    return round(over - fault.began, 1)


def line(result: Result) -> str:
    if not result.pairs:
        return f"{result.trial.name}: {result.left_out}"
    faults = [fault for _, fault in result.pairs]
    complaints = sorted({each.complaint[:120] for seen in faults for each in seen.told if each.complaint})[:2]
    return (
        f"{result.trial.name}: {result.verdict}; {sum(len(each.requests) for each in faults)} requests, tries lost {sum(each.tries_lost for each in faults)}, "
        f"lost {sum(each.lost for each in faults)}, broken {sum(each.broken for each in faults)}, back after {[each.back for each in faults]} s; "
        f"{sorted(result.incidents)} {complaints}"
    )


def row(result: Result, seed: int) -> str:
    trial = result.trial
    if not result.pairs:
        return f"| {trial.name} | {trial.hypothesis} | no data: {result.left_out} | - | - | - | - | - | - |"
    faults, controls = [fault for _, fault in result.pairs], [control for control, _ in result.pairs]
    pairs = [Pair(control.requests, fault.requests) for control, fault in result.pairs]
    share, first_token = compare(pairs, random.Random(seed))
    back = [each.back for each in faults if each.back is not None]
    told = "not seen" if len(back) < len(faults) else f"{statistics.median(back):.1f}, {max(back):.1f}"
    tries, lost = sum(each.tries_lost for each in faults), sum(each.lost for each in faults)
    return (
        f"| {trial.name} | {trial.hypothesis} | {happened(result)} | {sum(len(each.requests) for each in controls):,}, "
        f"{sum(len(each.requests) for each in faults):,} | {tries}, {lost} | {sum(each.broken for each in faults)} | {told} | "
        f"{interval(share, 100, '.1f')} | {interval(first_token, 1, '.0f')} |"
    )


def happened(result: Result) -> str:
    """In words: whether the hypothesis held, how many answers went on elsewhere, what the product noticed."""
    went_on = sum(each.continued > 0 and each.end == "ok" for _, fault in result.pairs for each in fault.told)
    told = f"**{result.verdict}**"
    if result.unsteady:
        told += f": {result.unsteady}"
    if went_on:
        told += f"; {went_on} answers went on elsewhere"
    if result.incidents:
        told += f"; incidents: {', '.join(f'`{kind}`' for kind in sorted(result.incidents))}"
    return f"{told}; {len(result.pairs)} pairs, {result.left_out}" if result.left_out else told


def interval(difference: PhaseDifference, times: float, form: str) -> str:
    """The mean and its interval, with signs."""
    if difference.mean is None:
        return "no data"
    mean = format(difference.mean * times, f"+{form}")
    if difference.low is None or difference.high is None:
        return f"{mean} (one pair)"
    return f"{mean} ({format(difference.low * times, f'+{form}')} to {format(difference.high * times, f'+{form}')})"


def report(results: Sequence[Result], run: dict[str, Any] | None, size: Size, before: str, took: float) -> str:
    lines = [
        f"Measured on {datetime.datetime.now(datetime.UTC):%d %B %Y}, in {took / 60:.0f} minutes, by `make chaos`.",
        "",
        *(f"- {each}" for each in before.splitlines()),
        f"- {size.nodes} nodes with a stub engine and {size.slots} slots each, {size.gateways} gateways, one controller, one PostgreSQL, one Valkey; one node with llama.cpp",
        f"- {size.streams} clients at once, each asking for {size.tokens} tokens, one every {size.every} ms, the first after {size.first_token} ms; each tries a request twice more, as the official clients do",
        f"- {size.repeats} pairs of phases for each experiment, one with the fault and one as long without it, each first in turn",
    ]
    lines += [
        "",
        "| experiment | hypothesis | what happened | requests: without, with the fault | lost before the first byte: tries, requests | broken after it | seconds to recovery: median, worst | "
        "failed, percentage points more (95 %) | first token p95, ms more (95 %) |",
        "|---|---|---|---|---|---|---|---|---|",
        *(row(result, size.seed) for result in results),
        "",
    ]
    if run is not None:
        lines += [*_of_product(run), ""]
    return "\n".join(lines)


def _of_product(run: dict[str, Any]) -> list[str]:
    """The product's own experiment, from its report."""
    found, why = run["report"], f": {run['why']}" if run["why"] else ""
    lines = [
        "The engine freeze as an experiment of the product itself, by its API, on two nodes in turn, 10 s each; measured by the product from usage records:",
        "",
        f"state `{run['state']}`{why}, verdict **{found['verdict'].replace('_', ' ')}**; "
        f"failed, percentage points more: {_told(found['failed_share'], 100)}; first token p95, ms more: {_told(found['first_token_p95_ms'], 1)}",
        "",
        "| phase | requests | failed | lost before the first token | first token p95, ms | seconds to recovery |",
        "|---|---|---|---|---|---|",
    ]
    for phase in run["phases"]:
        figures = phase["figures"] or {}
        p95, back = figures.get("first_token_p95_ms"), phase["recovery_seconds"]
        lines.append(
            f"| {phase['kind']} {phase['pair'] + 1} | {figures.get('requests', 'no data')} | {figures.get('failed', 'no data')} | "
            f"{figures.get('lost_before_token', 'no data')} | {'no data' if p95 is None else f'{p95:.0f}'} | {'-' if back is None else f'{back:g}'} |"
        )
    return lines


def _told(difference: dict[str, Any], times: float) -> str:
    return interval(PhaseDifference(**difference), times, ".1f")


def write(text: str, document: Path = DOCUMENT) -> None:
    """Put it between the document's marks. Raises `ValueError` where these are missing."""
    before, found, rest = document.read_text().partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{document} has no place for what is measured")
    document.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")

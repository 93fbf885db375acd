"""How soon a rollout's gates find a worse version out, and how often they take an equal one back: seeded, nothing is measured but the test itself."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from models_registry.rollout.plan import CountedAnswer, RolloutGates, RolloutProgress, closed, compare_with, take
from models_registry.rollout.steps import HOLD, STEPS

SHARES = (0.05, 0.25, 0.5)
BEFORE = 2000
SIGMA = 0.5
"""Of the logarithm of times: one in six answers takes 1.65 times as long as the middle one, or longer."""


@dataclass(frozen=True)
class Case:
    """``bad``: shares of failed answers, of the old version and the new one. ``slow``: how many times as long the new one takes. ``most``: of its
    answers, until then it is to be found out."""

    title: str
    bad: tuple[float, float]
    slow: float
    most: int


CASES = (
    Case("1 % to 6 % fail", (0.01, 0.06), 1.0, 1000),
    Case("1 % to 21 % fail", (0.01, 0.21), 1.0, 100),
    Case("twice as slow", (0.01, 0.01), 2.0, 100),
)
EQUAL = (Case("equal, 1 % fail", (0.01, 0.01), 1.0, 1000), Case("equal, 10 % fail", (0.1, 0.1), 1.0, 1000))


def _answer(rng: random.Random, new: bool, case: Case) -> CountedAnswer:
    slow = case.slow if new else 1.0
    first, token = rng.lognormvariate(5, SIGMA) * slow, rng.lognormvariate(3, SIGMA) * slow
    return CountedAnswer(new, "llamacpp", rng.random() < case.bad[new], first, token)


def _found_after(rng: random.Random, shares: Iterator[float], case: Case) -> int | None:
    """Answers of the new version until a gate closed; ``None`` when none did. Looked at after each answer."""
    progress, gates, given = RolloutProgress(), RolloutGates(), 0
    for share in shares:
        new = rng.random() < share
        given += new
        take(progress, gates, [_answer(rng, new, case)])
        if closed(progress) is not None:
            return given
    return None


def _found_after_switch(rng: random.Random, most: int, case: Case) -> int | None:
    """Likewise, of a version that all have at once, compared with `BEFORE` answers of the old one from before the switch."""
    progress, gates = RolloutProgress(), RolloutGates()
    compare_with(progress, gates, [_answer(rng, False, case) for _ in range(BEFORE)], HOLD[0].requests)
    for given in range(1, most + 1):
        take(progress, gates, [_answer(rng, True, case)])
        if closed(progress) is not None:
            return given
    return None


def _until(share: float, most: int) -> Iterator[float]:
    """One share, until the new version has answered so often."""
    left = float(most)
    while left > 0:
        yield share
        left -= share


def _whole(requests: int) -> Iterator[float]:
    """The default steps, each until about so many answers of the new version."""
    for step in STEPS:
        if step.share < 1:
            yield from [step.share] * round(requests / step.share)


def _row(title: str, found: list[int | None]) -> str:
    hits = sorted(each for each in found if each is not None)
    share = len(hits) / len(found)
    middle = f"{statistics.median(hits):.0f}" if hits else "-"
    late = f"{hits[int(0.95 * len(hits))]}" if hits else "-"
    return f"| {title} | {share:.1%} | {middle} | {late} |"


def report(count: int, seed: int, say: Callable[[str], None] = print) -> None:
    """``count``: simulated rollouts of each row."""
    say("| new version, share | found out | answers of it until then, median | 95 % |")
    say("|---|---|---|---|")
    for case in CASES:
        for share in SHARES:
            rng = random.Random(f"{seed} {case.title} {share}")
            found = [_found_after(rng, _until(share, case.most), case) for _ in range(count)]
            say(_row(f"{case.title}, {share:.0%}, within {case.most}", found))
    for case in CASES:
        rng = random.Random(f"{seed} {case.title} switched")
        found = [_found_after_switch(rng, case.most, case) for _ in range(count)]
        say(_row(f"{case.title}, blue-green, within {case.most}", found))
    for case in EQUAL:
        rng = random.Random(f"{seed} {case.title} switched")
        found = [_found_after_switch(rng, BEFORE, case) for _ in range(count)]
        say(_row(f"{case.title}, blue-green, {BEFORE} answers", found))
    for case in EQUAL:
        rng = random.Random(f"{seed} {case.title}")
        found = [_found_after(rng, _whole(100), case) for _ in range(count)]
        say(_row(f"{case.title}, the default steps whole", found))

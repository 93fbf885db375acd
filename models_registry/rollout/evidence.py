"""Whether a new version does worse than the old one: a sequential test that may be looked at after every answer, for ever.

The test is an e-process for two streams of yes and no (Turner, Ly, Grünwald, "Generic E-variables for exact sequential k-sample tests
that allow for optional stopping", 2024, https://doi.org/10.1016/j.jspi.2023.106116). While the new version is at most ``margin`` worse,
its expectation never exceeds 1, and so the chance that it ever reaches ``1 / level`` is at most ``level`` (Ville's inequality),
whatever the traffic is and however often it is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

EFFECTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""How much worse the new version may be: of what is left between the margin and always bad. Evidence is gathered for each."""
_LEAST = 1e-4
_BISECTIONS = 40


class AnswerBlock(msgspec.Struct, frozen=True):
    """Answers of both versions from one time and one kind of node, and how many of each were bad. What ends a block are the numbers of
    answers alone, never what they were."""

    old: int
    old_bad: int
    new: int
    new_bad: int


class SeenRates(msgspec.Struct):
    """What was seen in one kind of node before the block that is judged."""

    old: float = 0.0
    old_bad: float = 0.0
    new: float = 0.0
    new_bad: float = 0.0


class Evidence(msgspec.Struct):
    """That the new version is more than the margin worse: a logarithm for each of `EFFECTS`, and one for the rate as it was learned."""

    logs: list[float] = msgspec.field(default_factory=lambda: [0.0] * (len(EFFECTS) + 1))
    rates: dict[str, SeenRates] = {}
    """By kind of node."""

    def take(self, kind: str, block: AnswerBlock, *, margin: float, usual: float) -> None:
        """``usual``: the share of bad answers that is assumed of the old version before any was seen, above 0 and below 1."""
        rates = self.rates.setdefault(kind, SeenRates())
        base = _clipped((rates.old_bad + 2 * usual) / (rates.old + 2))
        learned = (rates.new_bad + 2 * (base + margin)) / (rates.new + 2)
        room = max(0.0, 1.0 - base - margin)
        worse = [base + margin + effect * room for effect in EFFECTS] + [max(learned, base + margin + _LEAST)]
        for index, other in enumerate(worse):
            self.logs[index] += log_e(block, base, _clipped(other), margin)
        rates.old += block.old
        rates.old_bad += block.old_bad
        rates.new += block.new
        rates.new_bad += block.new_bad

    @property
    def value(self) -> float:
        """The e-value as a logarithm: of the mean over what was assumed."""
        return log_mean(self.logs)

    @property
    def shown(self) -> float:
        """The e-value, up to a million."""
        return math.exp(min(self.value, math.log(1e6)))


def log_mean(logs: Sequence[float]) -> float:
    most = max(logs)
    return most + math.log(sum(math.exp(each - most) for each in logs) / len(logs))


def _clipped(rate: float) -> float:
    return min(1 - _LEAST, max(_LEAST, rate))


def log_e(block: AnswerBlock, old: float, new: float, margin: float) -> float:
    """The likelihood of the block under these two rates, over that under the nearest pair of rates that is no more than the margin apart; nothing
    where they are no more apart themselves, as all rates are above an old one to which the margin adds up to 1."""
    if not block.old or not block.new or new <= old + margin:
        return 0.0
    null = _nearest(block.old, block.new, old, new, margin)
    return (
        _log_likelihood(block.old, block.old_bad, old)
        + _log_likelihood(block.new, block.new_bad, new)
        - _log_likelihood(block.old, block.old_bad, null)
        - _log_likelihood(block.new, block.new_bad, null + margin)
    )


def _log_likelihood(count: int, bad: int, rate: float) -> float:
    good = count - bad
    return (bad * math.log(rate) if bad else 0.0) + (good * math.log1p(-rate) if good else 0.0)


def _nearest(count_old: int, count_new: int, old: float, new: float, margin: float) -> float:
    """The old version's rate in the pair (rate, rate + margin) that is least far from (old, new), by Kullback and Leibler."""
    if not margin:
        return (count_old * old + count_new * new) / (count_old + count_new)
    low, high = old, new - margin
    for _ in range(_BISECTIONS):
        rate = (low + high) / 2
        other = rate + margin
        slope = count_old * (rate - old) / (rate * (1 - rate)) + count_new * (other - new) / (other * (1 - other))
        low, high = (rate, high) if slope < 0 else (low, rate)
    return (low + high) / 2

"""From when on a silence is suspicious: it is compared with the pauses that were usual before it. Pure.

Phi-accrual (Hayashibara et al. 2004): the suspicion of a silence is -log10 of the chance that so long a pause is a usual one. Pauses are taken
for normally distributed, with mean and variance weighted towards the latest, so that a node that reports unsteadily is given more time.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

BASE = 8.0
"""Suspicion from which on one node alone is suspected: of so many digits are the usual pauses that are not longer."""
_WEIGHT = 1 / 16
"""Of the latest pause in the mean, once there were as many."""
_NORMAL = NormalDist()
_LEAST_DEVIATION = 0.2
"""As a share of the mean: no report comes by the second hand."""


class Pauses:
    """The pauses between the reports of one node, and how long the next one may be. Seconds."""

    __slots__ = ("_count", "_deviation", "_mean", "_variance")

    def __init__(self, usual: float = 1.0) -> None:
        self._mean = usual
        # Of a node that nothing is known of yet much is believed.
        self._deviation = usual / 2
        self._variance = self._deviation**2
        self._count = 0

    def add(self, pause: float, longest: float) -> None:
        """``longest``: a pause that was longer counts as this: it was an absence, and says nothing of how regularly it reports."""
        if not pause >= 0.0:
            return
        self._count += 1
        weight = max(_WEIGHT, 1 / (self._count + 1))
        away = min(pause, longest) - self._mean
        self._mean += weight * away
        self._variance = (1 - weight) * (self._variance + weight * away * away)
        self._deviation = max(math.sqrt(self._variance), _LEAST_DEVIATION * self._mean)

    def phi(self, silence: float) -> float:
        """How suspicious a silence is."""
        chance = _NORMAL.cdf((self._mean - silence) / self._deviation)
        return -math.log10(chance) if chance > 0.0 else math.inf

    def allowed(self, nodes: int, least: float, most: float) -> float:
        """How long the next silence may be, between ``least`` and ``most``, before it is suspicious among so many nodes."""
        return min(most, max(least, self._mean + _deviations(max(1, nodes).bit_length()) * self._deviation))


@functools.lru_cache(64)
def _deviations(doublings: int) -> float:
    """How many deviations above the mean are as rare as `BASE` says, and rarer by the number of nodes: among a thousand times as many a
    false suspicion of some node would else come a thousand times as often."""
    return -_NORMAL.inv_cdf(10 ** -(BASE + doublings * math.log10(2)))

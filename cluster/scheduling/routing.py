"""Routing, as a pure decision: which nodes may run a request, best first, and why.

The fast path: called once a request with what the gateway holds in memory. It reads no clock and no random source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Residence = Literal["present", "ready", "loading", "loaded"]

_RESIDENCE_SCORE: dict[str, float] = {"loaded": 1.0, "loading": 0.75, "present": 0.5, "ready": 0.5}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that has the version. ``in_flight`` counts requests given to it and not settled, as far as is known."""

    node: str
    residence: Residence
    capacity: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with the parts of its score, each from 0 (worst) to 1."""

    candidate: Candidate
    residence: float
    room: float

    @property
    def score(self) -> float:
        """A loaded model outweighs any difference in load while there is a free slot; a full node comes after all others."""
        return 2 * self.residence * (self.room > 0) + self.room


def rank(candidates: Sequence[Candidate], *, most: int = 4) -> list[Ranked]:
    """At most ``most`` candidates, best first; equal scores in the order of node ids.

    ``room`` is the free share of the slots, negative when requests wait.
    """
    ranked = [
        Ranked(
            candidate=candidate,
            residence=_RESIDENCE_SCORE[candidate.residence],
            room=1 - candidate.in_flight / candidate.capacity,
        )
        for candidate in candidates
        if candidate.capacity > 0
    ]
    ranked.sort(key=lambda each: (-each.score, each.candidate.node))
    return ranked[:most]

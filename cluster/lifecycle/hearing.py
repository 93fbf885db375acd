"""Whom the control plane hears, and for how long it has not heard the others: only time in which it could hear counts as their silence. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

from cluster.lifecycle.machine import Hearing
from cluster.scheduling.suspicion import Pauses

LONGEST_STEP = 1.0
"""Seconds from one look to the next that count at most, fewer than make a silence: who did not look could not hear."""
LEAST_UNHEARD = 1.5
"""A node whose lease is over is missing at several looks. The lease itself ends four seconds after its last word, or when gateways found its
connections closed."""
MOST_UNHEARD = 20.0
LEAST_SILENT = 2.0
"""Seconds for which a node has said nothing, at least, when it is called unreachable: its lease ends 1.5 seconds after its last word at the earliest
(`cluster.fleet.presence`), and is missed for half a second at least."""
LOST_AFTER = 30.0
"""Seconds for which a node is unreachable before it is lost: as long as requests wait for one (`cluster.fleet.grace`)."""
SETTLING = 10.0
"""Seconds after another Redis answers than before: nodes have to find it first."""
MANY, SHARE = 4, 0.5
"""So many nodes at least, and such a share of all, do not die within a moment: then it is the way to them that is broken."""
DEAF_SECONDS = 15.0
"""For so long that is believed."""
CALM_CHANGES, CALM_SECONDS = 6, 3600.0
"""A node that was unreachable more often within an hour must be heard for longer before it counts as back."""
CALM_STEP, MOST_CALM = 10.0, 300.0


class _Ear:
    __slots__ = ("absences", "boot", "counted", "gone", "heard", "since", "unheard", "was_heard")

    def __init__(self) -> None:
        self.was_heard = self.heard = False
        """``was_heard``: at any look."""
        self.since = 0.0
        """From when on it was heard at each look."""
        self.unheard = 0.0
        """When it was heard last, or was looked for first."""
        self.absences = Pauses(0.25)
        """Silences that the same process ended: of one that died nothing is learnt about how long the next may be."""
        self.boot = ""
        self.counted = False
        """Whether this silence is among those in ``gone``."""
        self.gone: deque[float] = deque(maxlen=2 * CALM_CHANGES)
        """When it was found to be unreachable."""


class Ears:
    """Of one controller. Its clock advances by the looks in which nodes could be heard: a controller that begins, that was stopped, or whose Redis was away
    starts nobody's death."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Ear] = {}
        self._listened = 0.0
        self._at: float | None = None
        self._redis = ""
        self._deaf_until = -1.0
        self._doubts_from: float | None = None
        self.in_doubt = False
        """Whether at the last look one was missing that is not called unreachable yet."""

    def look(self, nodes: Collection[str], heard: Mapping[str, str], *, now: float, redis: str) -> None:
        """One look at ``now`` (a clock that only goes forward), of these ``nodes``, at which those in ``heard`` had a lease: of each the run of its
        process that holds it, empty where it does not say. ``redis`` names the run of the server that was asked."""
        if redis != self._redis:
            if self._redis:
                self._deaf_until = now + SETTLING
            self._redis = redis
        doubted = self._is_doubtful(nodes, heard, now)
        if self._at is not None and now > self._deaf_until and not doubted:
            self._listened += min(now - self._at, LONGEST_STEP)
        self._at = now
        for gone in self._nodes.keys() - nodes:
            del self._nodes[gone]
        self.in_doubt = False
        for node in nodes:
            ear = self._nodes.get(node)
            if ear is None:
                ear = self._nodes[node] = _Ear()
                ear.unheard = self._listened
            if node in heard:
                if ear.was_heard and not ear.heard and heard[node] == ear.boot:
                    ear.absences.add(self._listened - ear.unheard, MOST_UNHEARD)
                if not ear.heard:
                    ear.since = self._listened
                ear.was_heard, ear.heard, ear.boot = True, True, heard[node]
                ear.counted = False
                ear.unheard = self._listened
            else:
                ear.heard = False
                self.in_doubt |= ear.was_heard and not ear.counted

    def of(self, node: str, *, away: bool) -> Hearing:
        """What is known of the node. ``away``: it counts as unreachable or lost by now."""
        ear = self._nodes.get(node)
        if ear is None:
            return "unsure"
        if ear.heard:
            return "heard" if not away or self._listened - ear.since >= self._calm(ear) else "unsure"
        silence = self._listened - ear.unheard
        unheard = ear.absences.allowed(len(self._nodes), LEAST_UNHEARD, MOST_UNHEARD)
        if silence < unheard:
            return "unsure"
        if not ear.counted and ear.was_heard:
            ear.counted = True
            ear.gone.append(self._listened)
        return "lost" if silence >= unheard + LOST_AFTER else "unreachable"

    def _calm(self, ear: _Ear) -> float:
        often = sum(self._listened - each < CALM_SECONDS for each in ear.gone)
        return min(MOST_CALM, CALM_STEP * max(0, often - CALM_CHANGES))

    def _is_doubtful(self, nodes: Collection[str], heard: Mapping[str, str], now: float) -> bool:
        """Whether so many fell silent together that it must be the way to them."""
        expected = [node for node in nodes if (ear := self._nodes.get(node)) is not None and ear.was_heard]
        missing = sum(
            node not in heard and self._listened - self._nodes[node].unheard < LOST_AFTER for node in expected
        )
        if missing < MANY or missing < SHARE * len(expected):
            self._doubts_from = None
            return False
        if self._doubts_from is None:
            self._doubts_from = now
        return now - self._doubts_from < DEAF_SECONDS

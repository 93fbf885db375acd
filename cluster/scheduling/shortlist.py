"""The candidates worth ranking, where a version is on more nodes than can be ranked for each request: kept in order as they change. Pure.

Up to `EXACT` candidates are all ranked. Of more, `Shortlist.pick` takes those that have read the prompt, those next to its place on a ring, and of each kind (free and
measured, free and not measured, full, to be loaded) the cheapest for a request of usual size: what that costs is known to a step of a fourth of an octave, and of those in
one step each request begins elsewhere.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable
from enum import IntEnum
from typing import NamedTuple

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.eligibility import against
from cluster.scheduling.expectation import TOKENS, expect
from cluster.scheduling.rendezvous import spread
from cluster.scheduling.strategies import AWAY, STRATEGIES, Crowd, Scene

EXACT = 128
USUAL_PROMPT = 500
"""Tokens of the prompt by which candidates are put in order."""
NEIGHBOURS = 8
MOST_WARM = 16
LOOKED_AT = 1024
"""Candidates that a request looks at on most, those that may not be used now included."""
_STEPS = 4.0
_LEAST = 1e-6
_OF_ONE = frozenset({"balanced", "least_busy", "fastest", "cheapest"})
"""Strategies by which a candidate's cost depends on itself alone."""


class Kind(IntEnum):
    FREE = 0
    UNTRIED = 1
    FULL = 2
    UNLOADED = 3


QUOTAS: dict[Kind, int] = {Kind.FREE: 56, Kind.UNTRIED: 24, Kind.FULL: 12, Kind.UNLOADED: 12}


class _Place(NamedTuple):
    kind: Kind
    other: bool
    """It is not the tenant's own."""
    step: int


class Shortlist:
    """Those that may run requests of one kind. ``usual`` is such a request without a prompt; ``here`` the gateway's region."""

    def __init__(self, usual: Wanted, here: str, candidates: Iterable[Candidate]) -> None:
        self._usual = Wanted(usual.tenant, usual.version, usual.profile, (), usual.num_ctx, USUAL_PROMPT)
        self._here = here
        self._held: dict[str, Candidate] = {}
        self._places: dict[str, _Place] = {}
        self._counted: dict[str, tuple[int, int]] = {}
        self._groups: dict[_Place, list[str]] = {}
        self._index: dict[str, int] = {}
        """Where in its group each stands."""
        self._ring: list[tuple[int, str]] = []
        self._slots = self._taken = self._ready_slots = 0
        able = [each for each in candidates if not against(self._usual, each)]
        for each, place in zip(able, self._places_of(able), strict=True):
            self._held[each.node] = each
            self._add(each, place)
        self._ring = sorted((each.salt, each.node) for each in able)

    def __len__(self) -> int:
        return len(self._held)

    def put(self, candidate: Candidate) -> None:
        """It is new, or something of it has changed."""
        node = candidate.node
        if against(self._usual, candidate):
            self.remove(node)
            return
        [place] = self._places_of([candidate])
        if node in self._held:
            if self._places[node] == place and self._counted[node] == (candidate.capacity, candidate.in_flight):
                return
            self._take_out(node)
        else:
            self._held[node] = candidate
            insort(self._ring, (candidate.salt, node))
        self._add(candidate, place)

    def remove(self, node: str) -> None:
        candidate = self._held.get(node)
        if candidate is None:
            return
        self._take_out(node)
        del self._held[node]
        del self._ring[bisect_left(self._ring, (candidate.salt, node))]

    def pick(
        self, usable: Callable[[str], bool], *, warm: Collection[str], home: int, turn: int
    ) -> tuple[list[Candidate], Crowd, float]:
        """At most `EXACT`; how busy all of them together are; and the share of all slots with the model in memory that those picked have.

        ``usable``: whether a node may be given something right now. ``home`` and ``turn`` as for `routing.rank`.
        """
        chosen: dict[str, Candidate] = {}
        for node in list(warm)[:MOST_WARM]:
            if node in self._held and usable(node):
                chosen[node] = self._held[node]
        near = self._near(home, usable)
        for node in near:
            chosen[node] = self._held[node]
        looks = LOOKED_AT
        begin = spread(turn)
        wanted = dict.fromkeys(Kind, 0)
        for place in sorted(self._groups):
            kind = place.kind
            group = self._groups[place]
            size = len(group)
            for number in range(size):
                if wanted[kind] >= QUOTAS[kind] or looks <= 0:
                    break
                looks -= 1
                node = group[(begin + number) % size]
                if node not in chosen and usable(node):
                    chosen[node] = self._held[node]
                    wanted[kind] += 1
        ready = sum(each.capacity for each in chosen.values() if self._places[each.node].kind is not Kind.UNLOADED)
        crowd = Crowd(self._slots, self._taken, tuple(near))
        return list(chosen.values()), crowd, ready / self._ready_slots if self._ready_slots else 1.0

    def _near(self, home: int, usable: Callable[[str], bool]) -> list[str]:
        """The next on the ring from the prompt's place, the same on each gateway that knows the same nodes."""
        found: list[str] = []
        begin = bisect_left(self._ring, (spread(home), ""))
        for number in range(min(len(self._ring), 8 * NEIGHBOURS)):
            node = self._ring[(begin + number) % len(self._ring)][1]
            # One that must load it first is no home.
            if self._places[node].kind is not Kind.UNLOADED and usable(node):
                found.append(node)
                if len(found) == NEIGHBOURS:
                    break
        return found

    def _places_of(self, able: list[Candidate]) -> list[_Place]:
        usual, strategy = self._usual, self._usual.profile.strategy
        expected = expect(usual, able, warm={}, tokens=TOKENS)
        costs = [0.0] * len(able)
        if strategy in _OF_ONE and able:
            costs = STRATEGIES[strategy](Scene(usual, able, expected, costs, {}, 0, []))
            if self._here:
                far = AWAY[strategy]
                costs = [
                    cost + far * (each.region not in ("", self._here)) for cost, each in zip(costs, able, strict=True)
                ]
        return [
            _Place(_kind(each, load), each.tenant != usual.tenant, math.floor(_STEPS * math.log2(cost + _LEAST)))
            for each, (_, load, *_rest), cost in zip(able, expected, costs, strict=True)
        ]

    def _add(self, candidate: Candidate, place: _Place) -> None:
        node = candidate.node
        group = self._groups.setdefault(place, [])
        self._index[node] = len(group)
        group.append(node)
        self._places[node] = place
        self._counted[node] = candidate.capacity, candidate.in_flight
        self._count(node, 1)

    def _take_out(self, node: str) -> None:
        self._count(node, -1)
        place, index = self._places.pop(node), self._index.pop(node)
        group = self._groups[place]
        last = group.pop()
        if last != node:
            group[index] = last
            self._index[last] = index
        if not group:
            del self._groups[place]
        del self._counted[node]

    def _count(self, node: str, sign: int) -> None:
        capacity, in_flight = self._counted[node]
        self._slots += sign * capacity
        self._taken += sign * in_flight
        if self._places[node].kind is not Kind.UNLOADED:
            self._ready_slots += sign * capacity


def _kind(candidate: Candidate, load: float) -> Kind:
    if load:
        return Kind.UNLOADED
    if candidate.in_flight >= candidate.capacity:
        return Kind.FULL
    measured = candidate.overhead_ms is not None and candidate.prompt_speed and candidate.token_ms is not None
    return Kind.FREE if measured else Kind.UNTRIED

"""Which versions should be in the memory of which nodes: what is there against what is wanted, as a pure decision with a reason for each step.

Versions that are asked for come first, each with one replica before any has two, those of a higher priority before others. A replica goes where it may run,
where its node has the version on disk, and where it leaves the least room over: small ones fill gaps, and large gaps stay for what is large, or for a node
that fails. What is loaded stays where it is unless it is idle, too much, not admitted, or in the way of something that has nowhere else to go.

The decision is repeated on its own result until nothing changes, so that planning again on what a plan made gives nothing. Nothing here reads a clock.
Memory in bytes, times in seconds; demand is the number of requests at once, on the mean.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.placement.fleet import FleetMemory
from cluster.placement.terms import (
    LoadedReplica,
    LoadPlan,
    LoadShortage,
    PlacementNode,
    PlacementReason,
    PlacementStep,
    PlacementVersion,
)

FULL = 0.8
"""Replicas are added while the demand takes a larger share of their slots than this,"""
SPARE = 0.5
"""and taken away while it would take a smaller share than this of the slots of the others. Noise of less than a third is between the two."""
IDLE_SECONDS = 600.0
"""What nobody asked for this long leaves memory."""
WARM = 2.0
"""A version is loaded in the room of others for what is expected when that is at least so many requests in the next half hour."""
WARM_IN_FREE_ROOM = 0.05
"""And in room that nobody needs from so many on. What is in memory stays until its room is needed."""
COLD = 0.02
"""The last replica of a version that autoscaling wants none of leaves when fewer requests than that are expected in the next half hour."""
WARMER = 1.5
"""It takes the room of others of which together that many times fewer requests are expected; less would be moving for nothing."""
URGENT = 1.0
"""What is kept warm counts as asked for from so many requests at once on; below that the expected requests say what is worth its room."""
MOST_ROUNDS = 20
MOST_MADE_ROOM = 32
"""Nodes at which it is tried to make room for a version, those first that have most."""


def plan(
    nodes: Iterable[PlacementNode], versions: Iterable[PlacementVersion], loaded: Iterable[LoadedReplica]
) -> LoadPlan:
    """What to load, unload and move. Replicas of versions that are not given are left alone, and take their room."""
    return _Planner(nodes, versions, loaded).made()


@dataclass(order=True)
class _Waiting:
    """In the order of priority, then the largest first: what is large fits in fewer places."""

    rank: int
    size: int
    digest: str


class _Planner:
    def __init__(
        self, nodes: Iterable[PlacementNode], versions: Iterable[PlacementVersion], loaded: Iterable[LoadedReplica]
    ) -> None:
        self._versions = {each.digest: each for each in versions}
        self._fleet = FleetMemory(nodes, self._versions.values())
        self._before: dict[tuple[str, str], LoadedReplica] = {}
        self._reasons: dict[tuple[str, str], PlacementReason] = {}
        self._short: dict[str, str] = {}
        self._was: dict[str, set[str]] = {each: set() for each in self._versions}
        for each in loaded:
            if self._fleet.put(each.node, each.digest, each.bytes) and each.digest in self._versions:
                self._before[each.node, each.digest] = each
                self._was[each.digest].add(each.node)
        self._ordered = sorted(self._versions.values(), key=lambda each: (-each.terms.priority, each.digest))

    def made(self) -> LoadPlan:
        for _ in range(MOST_ROUNDS):
            self._short = {}
            changed = self._trim()
            changed |= self._place_first()
            changed |= self._place_more()
            changed |= self._place_warm()
            if not changed:
                break
        return LoadPlan(tuple(self._steps()), tuple(self._shortages()), tuple(self._exposed()))

    # What there is

    def _counted(self, version: PlacementVersion) -> list[str]:
        """Nodes with a replica that serves: it may be there, and its node takes requests."""
        return [node for node in self._fleet.where(version.digest) if self._fleet.admits(version, node)]

    def _slots(self, nodes: Iterable[str]) -> int:
        return sum(self._fleet.node(each).slots for each in nodes)

    def _least(self, version: PlacementVersion) -> int:
        """Replicas that there are to be at least."""
        most = version.terms.most
        if version.wanted is not None:
            asked = version.wanted > 0
        else:
            asked = version.demand > 0 if version.warmth is None else version.demand >= URGENT
        least = max(version.terms.least, 1 if asked else 0)
        return least if most is None else min(least, most)

    # What goes

    def _trim(self) -> bool:
        """Unload what is idle, what is too much, and what is where it may not be."""
        changed = False
        for version in self._ordered:
            if version.terms.pinned:
                continue
            counted = self._counted(version)
            for node in self._fleet.where(version.digest):
                # On a node that takes no requests it is in nobody's way, and ends with what runs there.
                if node in counted or not self._fleet.node(node).takes:
                    continue
                if len(counted) >= min(1, self._least(version)):
                    changed |= self._drop(node, version, PlacementReason.NOT_ADMITTED)
            changed |= self._trim_counted(version, counted)
        return changed

    def _trim_counted(self, version: PlacementVersion, counted: list[str]) -> bool:
        changed = False
        most, least = version.terms.most, self._least(version)
        # The first to go is where others are, then where the most room comes free; equal ones by their names.
        crowd = self._fleet.crowd(version, counted)
        counted.sort(key=lambda node: (-crowd[self._fleet.place(version, node)], -self._fleet.free(node), node))
        slots = self._slots(counted)
        for node in list(counted):
            if most is not None and len(counted) > most:
                reason = PlacementReason.ABOVE_MOST
            elif len(counted) <= least:
                break
            elif version.wanted is not None:
                if len(counted) <= version.wanted or (version.wanted == 0 and self._is_warm(version)):
                    break
                reason = PlacementReason.SCALED_DOWN
            elif version.demand <= 0:
                if version.idle_for < IDLE_SECONDS or (version.warmth is not None and len(counted) == 1):
                    break
                reason = PlacementReason.IDLE
            elif version.demand <= SPARE * (slots - self._fleet.node(node).slots):
                reason = PlacementReason.SPARE
            else:
                continue
            counted.remove(node)
            slots -= self._fleet.node(node).slots
            changed |= self._drop(node, version, reason)
        return changed

    # What comes

    def _place_first(self) -> bool:
        """Of each version as many replicas as there are to be at least, if need be in the room of others."""
        line = [self._waiting(each) for each in self._ordered if self._fleet.serving(each) < self._least(each)]
        heapq.heapify(line)
        changed = False
        while line:
            version = self._versions[heapq.heappop(line).digest]
            there = self._fleet.serving(version)
            if there >= self._least(version):
                continue
            reason = PlacementReason.DEMANDED
            if there >= 1 or version.demand <= 0:
                scaled = bool(version.wanted) and there >= version.terms.least
                reason = PlacementReason.SCALED_UP if scaled else PlacementReason.BELOW_LEAST
            node = self._fleet.best(version)
            if node is None and (made := self._make_room(version)) is not None:
                node, displaced = made
                for each in displaced:
                    heapq.heappush(line, self._waiting(each))
            if node is None:
                self._short.setdefault(version.digest, self._why_not(version))
                continue
            self._load(node, version, reason)
            changed = True
            heapq.heappush(line, self._waiting(version))
        return changed

    def _place_more(self) -> bool:
        """Further replicas where the demand takes more than they have, in free room alone."""
        changed = False
        for version in self._ordered:
            if self._least(version) == 0:
                continue
            slots, room = self._slots(self._counted(version)), self._fleet.fitting(version)
            count, most = self._fleet.serving(version), version.terms.most
            chosen: list[str] = []
            while self._lacks(version, count + len(chosen), slots) and (most is None or count + len(chosen) < most):
                if (node := next(room, None)) is None:
                    self._short.setdefault(version.digest, self._why_not(version))
                    break
                chosen.append(node)
                slots += self._fleet.node(node).slots
            for node in chosen:
                scaled = version.wanted is not None
                self._load(node, version, PlacementReason.SCALED_UP if scaled else PlacementReason.MORE_DEMAND)
                changed = True
        return changed

    def _lacks(self, version: PlacementVersion, count: int, slots: int) -> bool:
        """Whether it should have more than so many replicas, with so many slots together."""
        return version.demand > FULL * slots if version.wanted is None else count < version.wanted

    def _place_warm(self) -> bool:
        """One replica of each version that is to be expected, first that with the most requests for its size: in free room, or in that of what is worth much less."""
        warm = [
            each
            for each in self._ordered
            if (each.warmth or 0.0) >= WARM_IN_FREE_ROOM and not self._fleet.serving(each)
        ]
        changed = False
        for version in sorted(warm, key=lambda each: (-each.terms.priority, -self._density(each), each.digest)):
            if version.terms.most == 0:
                continue
            node = self._fleet.best(version)
            if node is None and (version.warmth or 0.0) >= WARM:
                node = self._clear_for_warm(version)
            if node is not None:
                self._load(node, version, PlacementReason.WARM)
                changed = True
        return changed

    def _clear_for_warm(self, version: PlacementVersion) -> str | None:
        """A node where it fits after others left of which together much less is expected, which is done."""
        found: tuple[float, str, list[PlacementVersion]] | None = None
        for node in self._fleet.possible(version):
            lacking, worth, gone = self._fleet.need(version, node) - self._fleet.free(node), 0.0, []
            colder = [
                ((other.warmth or 0.0) / max(1, size), other.warmth or 0.0, size, other.digest)
                for digest, size in self._fleet.on(node).items()
                if (other := self._versions.get(digest)) is not None and self._is_colder(other, version)
            ]
            for _, expected, size, digest in sorted(colder):
                if lacking <= 0:
                    break
                gone.append(self._versions[digest])
                lacking, worth = lacking - size, worth + expected
            if lacking <= 0 and worth * WARMER <= (version.warmth or 0.0) and (found is None or worth < found[0]):
                found = worth, node, gone
        if found is None:
            return None
        for other in found[2]:
            self._drop(found[1], other, PlacementReason.ROOM)
        return found[1]

    def _is_colder(self, other: PlacementVersion, version: PlacementVersion) -> bool:
        return (
            not other.terms.pinned
            and other.terms.priority <= version.terms.priority
            and self._fleet.serving(other) > self._least(other)
            and (other.warmth or 0.0) * WARMER <= (version.warmth or 0.0)
        )

    @staticmethod
    def _density(version: PlacementVersion) -> float:
        return (version.warmth or 0.0) / max(1, *version.needs.values()) if version.needs else 0.0

    def _is_warm(self, version: PlacementVersion) -> bool:
        return (version.warmth or 0.0) >= COLD

    def _waiting(self, version: PlacementVersion) -> _Waiting:
        return _Waiting(-version.terms.priority, -max(version.needs.values(), default=0), version.digest)

    # Making room

    def may_give_way(self, there: PlacementVersion, wanted: PlacementVersion) -> bool:
        """Whether a replica of ``there`` may leave memory for one of ``wanted``: nobody asks for it, it has others, or it comes after."""
        if there.terms.pinned:
            return False
        if there.terms.priority < wanted.terms.priority:
            return True
        if there.terms.priority > wanted.terms.priority:
            return False
        return self._fleet.serving(there) > self._least(there)

    def _make_room(self, version: PlacementVersion) -> tuple[str, list[PlacementVersion]] | None:
        """A node where the version fits after others left or were moved, which is done; and those that are below their least now."""
        tried: list[tuple[int, str]] = []
        for node in self._fleet.possible(version):
            lacking = self._fleet.need(version, node) - self._fleet.free(node)
            if sum(each for each, _ in self._leaving(version, node)) + self._moving_bytes(version, node) >= lacking:
                tried.append((lacking, node))
        for lacking, node in heapq.nsmallest(MOST_MADE_ROOM, tried):
            if (displaced := self._clear(version, node, lacking)) is not None:
                return node, displaced
        return None

    def _leaving(self, version: PlacementVersion, node: str) -> list[tuple[int, PlacementVersion]]:
        """What may leave this node for the version, the first to go first: what nobody asks for, then what has others, then what comes after."""
        found = [
            (size, other)
            for digest, size in self._fleet.on(node).items()
            if (other := self._versions.get(digest)) is not None and self.may_give_way(other, version)
        ]

        def order(each: tuple[int, PlacementVersion]) -> tuple[bool, int, bool, float, int, str]:
            size, other = each
            needed = self._fleet.serving(other) <= self._least(other)
            rank = other.terms.priority if needed else 0
            return needed, rank, other.demand > 0, other.warmth or 0.0, -size, other.digest

        return sorted(found, key=order)

    def _moving_bytes(self, version: PlacementVersion, node: str) -> int:
        return sum(size for size, _ in self._movable(version, node))

    def _movable(self, version: PlacementVersion, node: str) -> list[tuple[int, PlacementVersion]]:
        """What may not leave, and could be elsewhere; the largest first, so that few are moved."""
        found = [
            (size, other)
            for digest, size in self._fleet.on(node).items()
            if (other := self._versions.get(digest)) is not None
            and not other.terms.pinned
            and not self.may_give_way(other, version)
            and self._fleet.admits(other, node)
        ]
        return sorted(found, key=lambda each: (-each[0], each[1].digest))

    def _clear(self, version: PlacementVersion, node: str, lacking: int) -> list[PlacementVersion] | None:
        """Have room for the version on this node; ``None``, and nothing is changed, where that is not possible."""
        gone: list[tuple[int, PlacementVersion]] = []
        freed = 0
        for size, other in self._leaving(version, node):
            if freed >= lacking:
                break
            gone.append((size, other))
            freed += size
        moved: list[tuple[PlacementVersion, str, int]] = []
        if freed < lacking:
            for size, other in self._movable(version, node):
                if freed >= lacking:
                    break
                if (target := self._fleet.best(other, without=node)) is not None:
                    self._fleet.put(target, other.digest, self._fleet.need(other, target))
                    moved.append((other, target, size))
                    freed += size
        if freed < lacking:
            for other, target, _ in moved:
                self._fleet.take(target, other.digest)
            return None
        for _, other in gone:
            self._drop(node, other, PlacementReason.ROOM)
        for other, target, _ in moved:
            self._reasons[target, other.digest] = PlacementReason.ROOM
            self._drop(node, other, PlacementReason.ROOM)
        return [other for _, other in gone if self._fleet.serving(other) < self._least(other)]

    # What is written down

    def _load(self, node: str, version: PlacementVersion, reason: PlacementReason) -> None:
        self._fleet.put(node, version.digest, self._fleet.need(version, node))
        self._reasons[node, version.digest] = reason

    def _drop(self, node: str, version: PlacementVersion, reason: PlacementReason) -> bool:
        self._fleet.take(node, version.digest)
        self._reasons[node, version.digest] = reason
        return True

    def _why_not(self, version: PlacementVersion) -> str:
        if not version.needs:
            return version.unknown or "its need of memory is not known"
        if not self._fleet.holders(version):
            return "no node has a copy of it"
        if not self._fleet.possible(version, also_with=True):
            return "no node that may run it, and takes requests, has a copy"
        if not self._fleet.possible(version):
            return "every node that may run it has it in memory"
        return "no node that may run it has room"

    def _steps(self) -> list[PlacementStep]:
        """What differs from before. What leaves one node and comes to another is one move."""
        found = []
        for version in self._ordered:
            was, now = self._was[version.digest], set(self._fleet.where(version.digest))
            new, old = sorted(now - was), sorted(was - now)
            for position, node in enumerate(new):
                found.append(self._coming(version, node, old[position] if position < len(old) else ""))
            found += [self._leaving_step(version, node) for node in old[len(new) :]]
        order = {"unload": 0, "move": 1, "load": 2}
        return sorted(found, key=lambda each: (order[each.verb], -self._versions[each.digest].terms.priority))

    def _coming(self, version: PlacementVersion, node: str, source: str) -> PlacementStep:
        reason, size = self._reasons[node, version.digest], self._fleet.on(node)[version.digest]
        left = self._reasons.get((source, version.digest))
        if left in (PlacementReason.NOT_ADMITTED, PlacementReason.ROOM):
            reason = left
        return PlacementStep("move" if source else "load", node, version.digest, reason, size, source)

    def _leaving_step(self, version: PlacementVersion, node: str) -> PlacementStep:
        size = self._before[node, version.digest].bytes
        return PlacementStep("unload", node, version.digest, self._reasons[node, version.digest], size)

    def _shortages(self) -> Sequence[LoadShortage]:
        found = []
        for version in self._ordered:
            if (why := self._short.get(version.digest)) is not None:
                counted = self._counted(version)
                found.append(LoadShortage(version.digest, len(counted), self._slots(counted), version.demand, why))
        return found

    def _exposed(self) -> list[tuple[str, str]]:
        """Versions that are asked for, have one replica, and would fit on no other node if that one's failed."""
        found = []
        for version in self._ordered:
            counted = self._counted(version)
            if version.demand > 0 and len(counted) == 1 and self._fleet.best(version, without=counted[0]) is None:
                found.append((version.digest, counted[0]))
        return found

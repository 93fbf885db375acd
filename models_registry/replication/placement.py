"""On which nodes each version should lie: desired against observed, as a pure decision with one reason for each move.

A copy counts for its version while its node may have it, takes requests, is not away for long, and did not fail to get it. Copies below ``least`` are made;
copies above ``most``, and those on nodes that may not have them, are taken away; those in between stay until their room is needed.
Nothing that is in use is taken away, nothing that would leave fewer whole copies than there should be, and no node gets more than its quota.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from models_registry.replication.terms import Eviction, ReplicationTerms

MOST_PATIENCE = 600.0
COPIED_BYTES_PER_SECOND = 100e6
"""What a network of one gigabit carries, and a disk takes."""


class MoveReason(StrEnum):
    """Why a copy is made, kept or taken away; shown to people."""

    EVERYWHERE = "every node that may have it has a copy"
    BELOW_LEAST = "there are fewer copies than there should be"
    KEPT = "it was there already"
    ABOVE_MOST = "there are more copies than there may be"
    NOT_ADMITTED = "the node is not where copies may lie"
    FAILED = "it could not be had here, and is elsewhere"
    ROOM = "its room was needed"


@dataclass(frozen=True, slots=True)
class PlacedVersion:
    digest: str
    size: int
    terms: ReplicationTerms


def patience(size: int) -> float:
    """For how many seconds a copy of ``size`` bytes on a node that is away is waited for: as long as making another one takes.

    Whoever waits so long, and then pays, has paid at most twice what somebody paid who knew when the node is back.
    """
    return min(MOST_PATIENCE, size / COPIED_BYTES_PER_SECOND)


@dataclass(frozen=True, slots=True)
class HostNode:
    """``takes``: it is there and takes requests, so that new copies may come to it. ``away``: for how many seconds it has been unreachable, 0
    while it is there, and `math.inf` where its copies are not to be counted on."""

    id: str
    region: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    takes: bool = True
    away: float = 0.0

    def counts(self, version: PlacedVersion) -> bool:
        return self.away <= patience(version.size)


@dataclass(frozen=True, slots=True)
class HeldCopy:
    """A version on a node, as it is. ``wanted``: it is to be there by an earlier plan; ``None`` where none has said. Times in seconds."""

    node: str
    digest: str
    wanted: bool | None = None
    whole: bool = False
    failed: bool = False
    in_use: bool = False
    paused: bool = False
    came: float = 0.0
    used: float = 0.0

    @property
    def placed(self) -> bool:
        return self.wanted is True or (self.wanted is None and self.whole)


@dataclass(frozen=True, slots=True)
class Move:
    """``hold``: the node is to have the version; else it is to have it no more."""

    node: str
    digest: str
    hold: bool
    reason: MoveReason


@dataclass(frozen=True, slots=True)
class Shortage:
    """``there`` are placed of ``wanted`` copies, because of ``why``."""

    digest: str
    wanted: int
    there: int
    why: str


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    moves: tuple[Move, ...]
    shortages: tuple[Shortage, ...]


def place(
    versions: Iterable[PlacedVersion],
    nodes: Iterable[HostNode],
    copies: Iterable[HeldCopy],
    *,
    quota: int | None = None,
    evict: Eviction = "oldest",
) -> PlacementPlan:
    """What has to change. The nodes and copies are of one tenant; copies of versions that are not given are left alone, but take room."""
    return _Plan(versions, nodes, copies, quota, evict).made()


class _Plan:
    def __init__(
        self,
        versions: Iterable[PlacedVersion],
        nodes: Iterable[HostNode],
        copies: Iterable[HeldCopy],
        quota: int | None,
        evict: Eviction,
    ) -> None:
        self._versions = sorted(versions, key=lambda each: (-each.terms.priority, each.digest))
        self._by_digest = {each.digest: each for each in self._versions}
        self._nodes = {each.id: each for each in nodes}
        self._quota, self._evict = quota, evict
        self._copies: dict[str, dict[str, HeldCopy]] = {each.digest: {} for each in self._versions}
        self._on_node: dict[str, dict[str, HeldCopy]] = {each: {} for each in self._nodes}
        self._taken: dict[str, int] = dict.fromkeys(self._nodes, 0)
        self._good: dict[str, dict[str, HeldCopy]] = {each.digest: {} for each in self._versions}
        """Of each version the placed copies that count, by node."""
        self._whole: dict[str, int] = dict.fromkeys(self._by_digest, 0)
        """How many of those are whole."""
        self._everywhere: dict[str, int] = {}
        self._moves: dict[tuple[str, str], Move] = {}
        self._shortages: list[Shortage] = []
        for copy in copies:
            if copy.digest in self._copies and copy.node in self._nodes:
                self._copies[copy.digest][copy.node] = copy
                if copy.placed:
                    self._put(copy)

    def made(self) -> PlacementPlan:
        for version in self._versions:
            self._settle(version)
        for version in self._versions:
            self._trim(version)
        self._unload_full_nodes()
        self._keep_the_rest()
        return PlacementPlan(tuple(self._moves.values()), tuple(self._shortages))

    # What counts

    def _put(self, copy: HeldCopy) -> None:
        version = self._by_digest[copy.digest]
        self._on_node[copy.node][copy.digest] = copy
        self._taken[copy.node] += version.size
        if (
            self._nodes[copy.node].counts(version)
            and not copy.failed
            and not copy.paused
            and self._admits(version, copy.node)
        ):
            self._good[copy.digest][copy.node] = copy
            self._whole[copy.digest] += copy.whole

    def _drop(self, copy: HeldCopy) -> None:
        del self._on_node[copy.node][copy.digest]
        self._taken[copy.node] -= self._by_digest[copy.digest].size
        if self._good[copy.digest].pop(copy.node, None) is not None:
            self._whole[copy.digest] -= copy.whole

    def _placed(self, version: PlacedVersion) -> list[HeldCopy]:
        """As the plan has it so far."""
        return [copy for node, copy in self._copies[version.digest].items() if version.digest in self._on_node[node]]

    def _admits(self, version: PlacedVersion, node: str) -> bool:
        host = self._nodes[node]
        return version.terms.admits(host.region, host.labels)

    def _wanted(self, version: PlacedVersion) -> int:
        if version.terms.least is not None:
            return version.terms.least
        if version.digest not in self._everywhere:
            counted = sum(1 for node in self._nodes.values() if node.counts(version) and self._admits(version, node.id))
            self._everywhere[version.digest] = counted
        return self._everywhere[version.digest]

    def _whole_elsewhere(self, copy: HeldCopy) -> int:
        return self._whole[copy.digest] - (copy.whole and copy.node in self._good[copy.digest])

    # What is made

    def _settle(self, version: PlacedVersion) -> None:
        """Make what is missing."""
        wanted = self._wanted(version)
        missing = wanted - len(self._good[version.digest])
        if missing <= 0:
            return
        crowd = self._crowd(version)
        possible: dict[str, list[str]] = {}
        for node in self._nodes.values():
            placed = version.digest in self._on_node[node.id] or self._copy_at(version, node.id).paused
            if node.takes and not placed and self._admits(version, node.id):
                possible.setdefault(self._place_of(version, node.id), []).append(node.id)
        for some in possible.values():
            some.sort(key=lambda node: self._preference(version, node), reverse=True)
        full = 0
        reason = MoveReason.EVERYWHERE if version.terms.least is None else MoveReason.BELOW_LEAST
        while missing > 0 and possible:
            place = min(possible, key=lambda each: (crowd.get(each, 0), self._preference(version, possible[each][-1])))
            best = possible[place].pop()
            if not possible[place]:
                del possible[place]
            if not self._make_room(version, best):
                full += 1
                continue
            self._move(self._copy_at(version, best), hold=True, reason=reason)
            crowd[place] = crowd.get(place, 0) + 1
            missing -= 1
        if missing > 0:
            there = wanted - missing
            why = "there is no room on the nodes that may have it" if full else "no further node may have it"
            self._shortages.append(Shortage(version.digest, wanted, there, why))

    def _crowd(self, version: PlacedVersion) -> dict[str, int]:
        """How many good copies are at each place that they are spread over."""
        crowd: dict[str, int] = {}
        for node in self._good[version.digest]:
            place = self._place_of(version, node)
            crowd[place] = crowd.get(place, 0) + 1
        return crowd

    def _place_of(self, version: PlacedVersion, node: str) -> str:
        spread, host = version.terms.spread, self._nodes[node]
        return "" if not spread else host.region if spread == "region" else host.labels.get(spread, "")

    def _preference(self, version: PlacedVersion, node: str) -> tuple[bool, bool, int, int, str]:
        """What is there already first, where it failed last, then the emptiest; equal ones by a hash, so that not all go to the same node."""
        copy = self._copy_at(version, node)
        tie = zlib.crc32(node.encode(), zlib.crc32(version.digest.encode()))
        return copy.failed, not copy.whole, self._taken[node] if self._quota is not None else 0, tie, node

    def _copy_at(self, version: PlacedVersion, node: str) -> HeldCopy:
        return self._copies[version.digest].get(node) or HeldCopy(node, version.digest)

    def _make_room(self, version: PlacedVersion, node: str) -> bool:
        """Whether the version fits into the node's quota, perhaps after others went that are not needed there."""
        if self._quota is None:
            return True
        over = self._taken[node] + version.size - self._quota
        gone = self._spare(node, over)
        if over > 0 and sum(self._by_digest[copy.digest].size for copy in gone) < over:
            return False
        for copy in gone:
            self._move(copy, hold=False, reason=MoveReason.ROOM)
        return True

    def _spare(self, node: str, needed: int) -> list[HeldCopy]:
        """Copies there that may go, the first to go first, until ``needed`` bytes are free or there are no more."""
        found: list[HeldCopy] = []
        free = 0
        for copy in sorted(self._on_node[node].values(), key=self._eviction_order):
            if free >= needed:
                break
            if self._may_go(copy):
                found.append(copy)
                free += self._by_digest[copy.digest].size
        return found

    def _eviction_order(self, copy: HeldCopy) -> tuple[int, float, str]:
        version = self._by_digest[copy.digest]
        by = {"oldest": copy.came, "least_used": copy.used, "largest": -float(version.size)}[self._evict]
        return version.terms.priority, by, copy.digest

    def _may_go(self, copy: HeldCopy) -> bool:
        version = self._by_digest[copy.digest]
        if copy.in_use or (copy.node, copy.digest) in self._moves:
            return False
        wanted = self._wanted(version)
        good = self._good[version.digest]
        if copy.node in good and len(good) <= wanted:
            return False
        if copy.failed and len(good) < wanted:
            return False  # it is tried again there
        # Whole ones, and those that are still to come, are replaced before they go; where nothing is whole here, nothing is lost.
        return not copy.whole or self._whole_elsewhere(copy) >= wanted

    # What goes

    def _trim(self, version: PlacedVersion) -> None:
        """Take away what is where it may not be, what failed and is elsewhere, and what is too much."""
        for copy in self._placed(version):
            if self._admits(version, copy.node) and not copy.failed:
                continue
            if self._may_go(copy):
                reason = MoveReason.FAILED if self._admits(version, copy.node) else MoveReason.NOT_ADMITTED
                self._move(copy, hold=False, reason=reason)
        most = version.terms.most
        if most is None:
            return
        good = self._good[version.digest]
        if len(good) <= most:
            return
        crowd = self._crowd(version)
        leaving: dict[str, list[HeldCopy]] = {}
        for copy in good.values():
            leaving.setdefault(self._place_of(version, copy.node), []).append(copy)
        for some in leaving.values():
            some.sort(key=lambda copy: self._preference(version, copy.node))
        while len(good) > most and leaving:
            place = max(leaving, key=lambda each: (crowd[each], self._preference(version, leaving[each][-1].node)))
            worst = leaving[place].pop()
            if not leaving[place]:
                del leaving[place]
            if self._may_go(worst):
                crowd[place] -= 1
                self._move(worst, hold=False, reason=MoveReason.ABOVE_MOST)

    def _unload_full_nodes(self) -> None:
        """A quota that was lowered."""
        if self._quota is None:
            return
        for node, taken in list(self._taken.items()):
            for copy in self._spare(node, taken - self._quota) if taken > self._quota else ():
                if self._may_go(copy):
                    self._move(copy, hold=False, reason=MoveReason.ROOM)

    def _keep_the_rest(self) -> None:
        """What is there and nobody has decided on."""
        for held in self._on_node.values():
            for copy in list(held.values()):
                if copy.wanted is None and (copy.node, copy.digest) not in self._moves:
                    self._move(copy, hold=True, reason=MoveReason.KEPT)

    def _move(self, copy: HeldCopy, *, hold: bool, reason: MoveReason) -> None:
        self._moves[copy.node, copy.digest] = Move(copy.node, copy.digest, hold, reason)
        held = copy.digest in self._on_node[copy.node]
        if hold and not held:
            self._copies[copy.digest][copy.node] = copy
            self._put(copy)
        elif not hold and held:
            self._drop(copy)


def shown(shortages: Sequence[Shortage]) -> dict[str, str]:
    """By digest, in a sentence."""
    return {each.digest: f"{each.there} of {each.wanted} copies: {each.why}." for each in shortages}

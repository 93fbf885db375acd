"""Predictor: follows every node of a region by its readings, and tells which are likely to fail. Each node is read once a minute, spread over the looks between. Pure: no I/O, no clock."""

from __future__ import annotations

import statistics
import zlib
from collections.abc import Collection, Mapping, Sequence

from cluster.health.judge import GATEWAY_LOST
from cluster.health.sign import Sign
from cluster.health.snapshot import SeenNode, Snapshot
from cluster.prediction.outlook import NodeOutlook, outlooks, unmeasured
from cluster.prediction.reading import CountedRequests, NodeReading, reading_of
from cluster.prediction.series import EVERY, LONGEST_GAP, NodeSeries
from cluster.prediction.thresholds import THRESHOLDS, Detector, Thresholds
from cluster.prediction.warning import Key, Watched, decide, sign_of

PEERS = 3
"""Others of its make that must be known, before what they have in common is taken out."""
KNOWN_AFTER = 10
"""Readings after which a node without warnings is known to be well."""
NEVER_READ = 900.0
"""Seconds after which of a node that says nothing no warning is kept."""


class Followed:
    """One node. ``due``: when its next reading is to be taken."""

    __slots__ = (
        "counted",
        "due",
        "first",
        "outlooks",
        "read_at",
        "readings",
        "series",
        "signs",
        "unmeasured",
        "watched",
    )

    def __init__(self, due: float, now: float) -> None:
        self.series = NodeSeries()
        self.watched: dict[Key, Watched] = {}
        self.outlooks: list[NodeOutlook] = []
        self.unmeasured: Collection[Key] = frozenset()
        self.signs: list[Sign] = []
        self.counted = CountedRequests()
        self.due, self.first = due, now
        self.read_at: float | None = None
        self.readings = 0


class Predictor:
    def __init__(self, limits: Mapping[Detector, Thresholds] = THRESHOLDS) -> None:
        self._limits = limits
        self._nodes: dict[str, Followed] = {}
        self._peers: dict[str, dict[str, tuple[float, dict[str, float]]]] = {}
        """By make: node -> when it was read, and its own part of what peers have in common."""
        self._common: dict[tuple[str, str], list[float]] = {}

    def look(self, snapshot: Snapshot) -> dict[str, list[Sign]]:
        """Warnings of all nodes of which enough is known to say that there is one or none: of others nothing is said, and what was said of them before stands."""
        now = snapshot.now
        self._keep(snapshot.nodes, now)
        self._count(snapshot)
        self._common.clear()
        for seen in snapshot.nodes:
            held = self._nodes[seen.id]
            if now < held.due and held.due - now <= 2 * EVERY:
                continue
            held.due = max(held.due + EVERY, now + EVERY / 2)
            reading = reading_of(seen, held.counted, now, fetching=seen.id in snapshot.fetching)
            if reading is not None:
                held.counted = CountedRequests()
                self.put(reading)
            elif held.read_at is None or now - held.read_at > LONGEST_GAP:
                held.counted, held.watched, held.signs = CountedRequests(), {}, []
        return {
            node: held.signs
            for node, held in self._nodes.items()
            if held.signs or held.readings >= KNOWN_AFTER or now - held.first > NEVER_READ
        }

    def put(self, reading: NodeReading) -> list[Sign]:
        """One reading of one node. Returns its warnings."""
        held = self._nodes.get(reading.node)
        if held is None:
            held = self._nodes[reading.node] = Followed(reading.at, reading.at)
        if held.read_at is not None and not 0 < reading.at - held.read_at <= LONGEST_GAP:
            held.watched, held.readings = {}, 0
        peers = self._peers.setdefault(reading.peers, {})
        told = held.series.put(reading, self._ambient(reading, peers))
        if told:
            peers[reading.node] = reading.at, told
        held.read_at, held.readings = reading.at, held.readings + 1
        held.outlooks = list(outlooks(held.series))
        held.unmeasured = unmeasured(held.series) if held.watched else frozenset()
        decide(held.watched, held.outlooks, reading.at, self._limits, held.unmeasured)
        held.signs = (
            [sign_of(each) for each in held.watched.values() if each.given_at is not None] if held.watched else []
        )
        return held.signs

    def outlooks_of(self, node: str, now: float) -> Sequence[NodeOutlook]:
        """What was seen coming on a node by the reading of this look; nothing where it was not read."""
        held = self._nodes.get(node)
        return held.outlooks if held is not None and held.read_at == now else ()

    def unmeasured_of(self, node: str) -> Collection[Key]:
        """What its newest reading says nothing of."""
        held = self._nodes.get(node)
        return unmeasured(held.series) if held is not None else ()

    def warnings_of(self, node: str) -> list[Watched]:
        held = self._nodes.get(node)
        return [] if held is None else [each for each in held.watched.values() if each.given_at is not None]

    def _ambient(self, reading: NodeReading, peers: Mapping[str, tuple[float, dict[str, float]]]) -> dict[str, float]:
        """What the others of its make have in common just now: their median, so that one that lies changes little."""
        found: dict[str, float] = {}
        for what in ("warm", "slow"):
            if len(peers) > 10 * PEERS:
                # With so many its own value hardly counts, and all are sorted once for each look.
                key = (reading.peers, what)
                if key not in self._common:
                    self._common[key] = _fresh(peers, what, reading.at, "")
                values = self._common[key]
            else:
                values = _fresh(peers, what, reading.at, reading.node)
            if len(values) >= PEERS:
                found[what] = statistics.median(values)
        return found

    def _keep(self, nodes: Collection[SeenNode], now: float) -> None:
        for seen in nodes:
            if seen.id not in self._nodes:
                # Spread over the time from one reading to the next, and the same after each restart.
                self._nodes[seen.id] = Followed(now + zlib.crc32(seen.id.encode()) % int(EVERY), now)
        if len(self._nodes) > len(nodes):
            present = {seen.id for seen in nodes}
            self._nodes = {node: held for node, held in self._nodes.items() if node in present}
            for peers in self._peers.values():
                for gone in peers.keys() - present:
                    del peers[gone]
            self._peers = {make: peers for make, peers in self._peers.items() if peers}

    def _count(self, snapshot: Snapshot) -> None:
        running = {seen.id: seen.vitals.running for seen in snapshot.nodes if seen.vitals is not None}
        for each in snapshot.ended:
            held = self._nodes.get(each.node)
            if held is not None:
                held.counted.add(each, running.get(each.node, 0), each.failed - each.errors.get(GATEWAY_LOST, 0))


def _fresh(peers: Mapping[str, tuple[float, dict[str, float]]], what: str, now: float, without: str) -> list[float]:
    return [
        told[what]
        for node, (at, told) in peers.items()
        if node != without and what in told and 0 <= now - at <= 3 * EVERY
    ]

"""The memory of a fleet while a plan is made: what each node has left, and where a version fits best. Nodes that no version tells apart are looked at together.

A node has a place in a list sorted by free bytes, so that the best fit among thousands is found by bisection.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from cluster.placement.terms import LoadTerms, PlacementNode, PlacementVersion
from cluster.scheduling.taints import untolerated
from ollamamax.contract.tables import EVERYBODY

_FEW = 64
"""So few nodes with a copy are looked at one by one."""
_Class = tuple[object, ...]


class FleetMemory:
    def __init__(self, nodes: Iterable[PlacementNode], versions: Iterable[PlacementVersion]) -> None:
        self._nodes = {each.id: each for each in nodes}
        versions = list(versions)
        # Other labels, such as a host's name, tell no two nodes apart here.
        self._labels = sorted(
            {name for each in versions for name in (*each.terms.labels, each.terms.spread)} - {"", "region"}
        )
        self._classes: dict[_Class, list[tuple[int, str]]] = {}
        self._samples: dict[_Class, PlacementNode] = {}
        self._class_of: dict[str, _Class] = {}
        self._free = {each.id: each.memory for each in self._nodes.values()}
        self._on: dict[str, dict[str, int]] = {each: {} for each in self._nodes}
        self._where: dict[str, dict[str, None]] = {}
        self._serving: Counter[str] = Counter()
        self._versions = {each.digest: each for each in versions}
        self._admitted: dict[tuple[str, _Class], bool] = {}
        self._holders = {each.digest: _as_set(each.holders) for each in versions}
        self._possible: dict[str, list[str]] = {}
        self._lists: dict[str, list[tuple[str, int, list[tuple[int, str]]]]] = {}
        for node in self._nodes.values():
            key = self._key(node)
            self._class_of[node.id] = key
            self._samples.setdefault(key, node)
            self._classes.setdefault(key, []).append((node.memory, node.id))
        for each in self._classes.values():
            each.sort()

    # What is there

    def node(self, node: str) -> PlacementNode:
        return self._nodes[node]

    def free(self, node: str) -> int:
        return self._free[node]

    def on(self, node: str) -> Mapping[str, int]:
        """The versions on a node, with the bytes that each takes."""
        return self._on[node]

    def where(self, digest: str) -> list[str]:
        """Nodes that have the version in memory."""
        return list(self._where.get(digest, ()))

    def serving(self, version: PlacementVersion) -> int:
        """How many of those may run it, and take requests."""
        return self._serving[version.digest]

    def put(self, node: str, digest: str, size: int) -> bool:
        """Whether the node is known, and did not have it."""
        if node not in self._nodes or digest in self._on[node]:
            return False
        self._on[node][digest] = size
        self._where.setdefault(digest, {})[node] = None
        self._count(node, digest, 1)
        self._resize(node, -size)
        return True

    def take(self, node: str, digest: str) -> None:
        size = self._on[node].pop(digest)
        del self._where[digest][node]
        self._count(node, digest, -1)
        self._resize(node, size)

    def need(self, version: PlacementVersion, node: str) -> int:
        return version.needs[self._nodes[node].kind]

    # Where a version may be

    def admits(self, version: PlacementVersion, node: str) -> bool:
        """Whether the node takes requests, and may run those for this version."""
        return self._is_admitted(version, self._class_of[node])

    def holders(self, version: PlacementVersion) -> Collection[str]:
        return self._holders[version.digest]

    def possible(self, version: PlacementVersion, *, also_with: bool = False) -> list[str]:
        """Nodes that may run it, have it on disk, and for whose kind its need is known; those that have it in memory only where ``also_with``."""
        found = self._possible.get(version.digest)
        if found is None:
            found = self._possible[version.digest] = [
                node
                for node in sorted(self._holders[version.digest])
                if node in self._nodes and self._nodes[node].kind in version.needs and self.admits(version, node)
            ]
        return found if also_with else [node for node in found if version.digest not in self._on[node]]

    def best(self, version: PlacementVersion, *, without: str = "") -> str | None:
        """Where it fits into what is free: the first of `fitting`. ``None``: nowhere."""
        return next((node for node in self.fitting(version) if node != without), None)

    def fitting(self, version: PlacementVersion) -> Iterator[str]:
        """Where it fits into what is free: in the place with the fewest of its replicas, and there where it leaves least over. Each one that is returned
        counts as taken; nothing may be changed before the last one was asked for."""
        crowd = self.crowd(version, self.where(version.digest)) if version.terms.spread else Counter()
        by_place: dict[str, list[Iterator[tuple[int, str]]]] = {}
        for place, rows in self._gaps(version):
            by_place.setdefault(place, []).append(rows)
        merged = {place: heapq.merge(*rows) for place, rows in by_place.items()}
        heads = [(crowd[place], *first, place) for place, rows in merged.items() if (first := next(rows, None))]
        heapq.heapify(heads)
        while heads:
            many, _, node, place = heads[0]
            yield node
            following = next(merged[place], None)
            if following is None:
                heapq.heappop(heads)
            else:
                heapq.heapreplace(heads, (many + 1, *following, place))

    def _gaps(self, version: PlacementVersion) -> Iterator[tuple[str, Iterator[tuple[int, str]]]]:
        """By place: the bytes that it would leave over, least first, each with its node."""
        held = self._holders[version.digest]
        if len(held) <= _FEW:
            for node in self.possible(version):
                if (left := self._free[node] - self.need(version, node)) >= 0:
                    yield self.place(version, node), iter([(left, node)])
            return
        for place, need, rows in self._lists_for(version):
            if rows[-1][0] >= need:
                yield place, self._walk(version.digest, held, rows, need)

    def _lists_for(self, version: PlacementVersion) -> list[tuple[str, int, list[tuple[int, str]]]]:
        """The nodes that may run it and whose kind's need is known, by class: the place, the need, and the nodes in the order of what they have free."""
        found = self._lists.get(version.digest)
        if found is None:
            found = self._lists[version.digest] = [
                (self._place_in(version.terms, self._samples[key]), version.needs[self._samples[key].kind], rows)
                for key, rows in self._classes.items()
                if self._samples[key].kind in version.needs and self._is_admitted(version, key)
            ]
        return found

    def _walk(
        self, digest: str, held: Collection[str], rows: list[tuple[int, str]], need: int
    ) -> Iterator[tuple[int, str]]:
        for position in range(bisect_left(rows, (need, "")), len(rows)):
            free, node = rows[position]
            if node in held and digest not in self._on[node]:
                yield free - need, node

    def crowd(self, version: PlacementVersion, nodes: Iterable[str]) -> Counter[str]:
        """How many of these nodes are at each place that the version is spread over."""
        return Counter(self.place(version, node) for node in nodes)

    def place(self, version: PlacementVersion, node: str) -> str:
        return self._place_in(version.terms, self._nodes[node])

    # How it is kept

    @staticmethod
    def _place_in(terms: LoadTerms, node: PlacementNode) -> str:
        if not terms.spread:
            return ""
        return node.region if terms.spread == "region" else node.labels.get(terms.spread, "")

    def _key(self, node: PlacementNode) -> _Class:
        told_apart = tuple(node.labels.get(name) for name in self._labels)
        return node.tenant, node.kind, node.region, node.taints, node.access, node.takes, told_apart

    def _is_admitted(self, version: PlacementVersion, key: _Class) -> bool:
        found = self._admitted.get((version.digest, key))
        if found is None:
            found = self._admitted[version.digest, key] = may_be_on(version, self._samples[key])
        return found

    def _count(self, node: str, digest: str, by: int) -> None:
        version = self._versions.get(digest)
        if version is not None and self.admits(version, node):
            self._serving[digest] += by

    def _resize(self, node: str, by: int) -> None:
        rows, before = self._classes[self._class_of[node]], self._free[node]
        del rows[bisect_left(rows, (before, node))]
        self._free[node] = before + by
        insort(rows, (before + by, node))


def may_be_on(version: PlacementVersion, node: PlacementNode) -> bool:
    """Whether the version may be in this node's memory, as far as rules say."""
    terms = version.terms
    return (
        node.takes
        and (version.tenant == node.tenant or version.tenant in node.access or EVERYBODY in node.access)
        and (not terms.regions or node.region in terms.regions)
        and terms.labels.items() <= node.labels.items()
        and not untolerated(node.taints, terms.tolerations)
    )


def _as_set(held: Collection[str]) -> Collection[str]:
    return held if isinstance(held, (set, frozenset)) else frozenset(held)

"""Which nodes have read which prompts, as this process gave them out: bounded, the longest unused forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from cluster.scheduling.prompt import shared_part

MOST = 65_536
"""Prefixes kept: about 11 MB with one node each, at most 17 MB."""
NODES = 4
"""Nodes kept for a prefix, the last ones."""


class PrefixAffinity:
    """Versions and tenants are kept apart by ``scope``, any number: nobody's prompts draw another's to a node."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._nodes: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._nodes)

    def remember(self, prefixes: Sequence[int], node: str, *, scope: int) -> None:
        for prefix in prefixes:
            key = prefix ^ scope
            held = self._nodes.pop(key, ())
            if not held or held[0] != node:
                held = (node, *(other for other in held if other != node))[:NODES]
            self._nodes[key] = held
        while len(self._nodes) > self._most:
            self._nodes.popitem(last=False)

    def warm(self, prefixes: Sequence[int], *, scope: int) -> dict[str, float]:
        """Node -> the share of the prompt that it has read, by the longest prefix that it was given."""
        found: dict[str, float] = {}
        for prefix in reversed(prefixes):
            for node in self._nodes.get(prefix ^ scope, ()):
                if node not in found:
                    found[node] = shared_part(prefix, prefixes[-1])
        return found

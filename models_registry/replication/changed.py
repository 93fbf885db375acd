"""Which nodes' replicas have to be looked at now: those whose models, or whose tenant's names, have changed; and a few in turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from cluster.telemetry import Briefs
from ollamamax.contract import StateBrief

REPAIR_ROUNDS = 300
"""After so many rounds each node was looked at once, whether it said that anything had changed or not."""
REPAIR_EACH = 10
"""Rounds between two of those in which some nodes come in their turn: whatever is asked for one of them is asked for all at once."""
READ_ROUNDS = 10
"""After so many rounds the list of nodes is read, whether it shows a change or not."""


class ChangedNodes:
    """What one process knows of the last look at each node."""

    def __init__(self) -> None:
        self.briefs = Briefs()
        self._quiet: Mapping[str, StateBrief] | None = None
        """What the nodes said when none was to be looked at."""
        self._digests: dict[str, str] = {}
        self._marks: dict[str, object] = {}
        self._unsettled: set[str] = set()
        self._turn = 0
        self._nodes_mark: object = None
        self._tenants: dict[str, str] = {}

    def tenants(self, mark: object, read: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Whose each node is, read anew when ``mark`` is another one, and once in a while: of two that change places in one moment it may not tell."""
        if mark != self._nodes_mark or self._turn % READ_ROUNDS == 0:
            self._nodes_mark, self._tenants = mark, read()
        return self._tenants

    def pick(
        self, briefs: Mapping[str, StateBrief], tenants: Mapping[str, str], marks: Mapping[str, object]
    ) -> set[str]:
        """Of the nodes that report (``briefs``) those to look at. ``tenants`` says whose each node is; a tenant's mark in ``marks`` is
        another one when its names or versions have changed. Of a node that tells no digest nobody knows what has changed."""
        self._turn = (self._turn + 1) % REPAIR_ROUNDS
        changed = {
            tenant for tenant in marks.keys() | self._marks.keys() if marks.get(tenant) != self._marks.get(tenant)
        }
        turn, none_in_turn = divmod(self._turn, REPAIR_EACH)
        if briefs is self._quiet and not changed and none_in_turn:
            return set()
        picked = {
            node
            for number, (node, brief) in enumerate(sorted(briefs.items()))
            if not brief.models_digest
            or self._digests.get(node) != brief.models_digest
            or node in self._unsettled
            or tenants.get(node) in changed
            or (not none_in_turn and number % (REPAIR_ROUNDS // REPAIR_EACH) == turn)
        }
        self._quiet = None if picked or changed else briefs
        return picked

    def looked(
        self,
        briefs: Mapping[str, StateBrief],
        marks: Mapping[str, object],
        nodes: Collection[str],
        unsettled: Collection[str],
    ) -> None:
        """These nodes were looked at, as they were at `pick`; of ``unsettled`` something is still to come."""
        self._quiet = None
        for node in nodes:
            self._digests[node] = briefs[node].models_digest
        self._marks = dict(marks)
        self._unsettled = (self._unsettled - set(nodes)) | set(unsettled)

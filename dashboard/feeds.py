"""Feeds: the last events of one tenant's topic, held once in a process for all sockets that read them. Pure but for who is woken."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from dashboard.folding import folded
from dashboard.topics import Topic


@dataclass(frozen=True)
class HeldEvent:
    """One event: what changed after number ``since`` up to number ``number``."""

    since: int
    number: int
    data: bytes


@dataclass(frozen=True)
class Fold:
    """Several events as one; decoded once for all who filter it."""

    number: int
    data: bytes

    @cached_property
    def decoded(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.data)
        return found


class Feed:
    """Bounded by the topic's ``held``, whatever its readers do: who falls behind that begins anew."""

    def __init__(self, tenant: str, topic: Topic, number: int = 0) -> None:
        self.tenant = tenant
        self.topic = topic
        self.number = number
        self.readers: dict[object, asyncio.Event] = {}
        self._held: deque[HeldEvent] = deque(maxlen=max(1, topic.held))
        self._folds: dict[int, Fold] = {}

    def push(self, number: int, data: bytes) -> None:
        """The next event; what is not newer than the last is known already."""
        if number <= self.number:
            return
        if self._held and self._held[-1].number != self.number:
            self._held.clear()
        self._held.append(HeldEvent(self.number, number, data))
        self.number = number
        self._folds.clear()
        for wake in self.readers.values():
            wake.set()

    def lose(self, number: int) -> None:
        """Events are missing up to ``number``: every reader begins anew."""
        self._held.clear()
        self._folds.clear()
        self.number = number
        for wake in self.readers.values():
            wake.set()

    def after(self, number: int) -> Fold | None:
        """All that came after ``number``, as one; ``None`` when that is not held any more, or not yet known."""
        if number in self._folds:
            return self._folds[number]
        wanted = [held for held in self._held if held.number > number]
        if number > self.number or not wanted or (wanted[0].since > number and not self.topic.replaced):
            return None
        fold = Fold(self.number, folded(self.topic.name, [held.data for held in wanted]))
        self._folds[number] = fold
        return fold


def of_nodes(change: Mapping[str, Any], nodes: frozenset[str] | set[str]) -> dict[str, Any] | None:
    """A change of rows cut down to some nodes; ``None`` when it says nothing of them."""
    changed = {node: fields for node, fields in change["changed"].items() if node in nodes}
    gone = [node for node in change["gone"] if node in nodes]
    if not changed and not gone and not change["whole"]:
        return None
    return {**change, "changed": changed, "gone": gone, "total": len(nodes)}

"""What nodes last said of themselves, read from Redis: bounded there, checked here, each by itself. No Django."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast

import redis
import redis.asyncio

from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import (
    ModelState,
    NodeState,
    Nonsense,
    StateBrief,
    Vitals,
    decode_node_state,
    decode_state_brief,
    decode_vitals,
)
from ollamamax.contract.bounds import MOST_BRIEF_BYTES, MOST_STATE_BYTES
from ollamamax.kernel.seldom import Seldom

_log = logs.get(__name__)
_seldom = Seldom()
_AT_ONCE = 200
TURNS = 12
_READ = """
local found = {}
for number, name in ipairs(KEYS) do
  local value = redis.pcall('GETRANGE', name, 0, ARGV[1])
  found[number] = type(value) == 'string' and value or '?'
end
return found
"""
"""One byte more than is allowed of each, however long it is; a key of another type is nonsense too."""


@dataclass(frozen=True)
class Told:
    """Node id to its state; and of those whose state cannot be taken, why."""

    states: dict[str, NodeState] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)


def read(client: redis.Redis, nodes: Sequence[str]) -> Told:
    """What those nodes say that are alive, in one round trip. Raises `RedisError`."""
    if not nodes:
        return Told()
    return _told(nodes, cast("list[bytes]", client.eval(_READ, len(nodes), *_arguments(nodes))))


async def read_soon(client: redis.asyncio.Redis, nodes: Sequence[str]) -> Told:
    """The same for those who must not wait."""
    if not nodes:
        return Told()
    found: Any = await client.eval(_READ, len(nodes), *_arguments(nodes))
    return _told(nodes, found)


def read_states(client: redis.Redis, nodes: Sequence[str]) -> dict[str, NodeState]:
    """The states of those nodes that are alive and make sense."""
    return read(client, nodes).states


def read_briefs(client: redis.Redis, nodes: Sequence[str]) -> dict[str, StateBrief]:
    """Of those nodes that are alive and make sense what shows whether anything has changed. Raises `RedisError`."""
    found, without = _briefs(client, nodes, keys.node_brief, MOST_BRIEF_BYTES)
    # Nodes of older releases write their states alone, and the dead nothing. Whose brief is nonsense may be alive all the same.
    found |= _briefs(client, without, keys.node_state, MOST_STATE_BYTES)[0]
    return found


def _briefs(
    client: redis.Redis, nodes: Sequence[str], key: Callable[[str], str], most: int
) -> tuple[dict[str, StateBrief], list[str]]:
    """The briefs in those keys of nodes, and the nodes of which none is there."""
    found: dict[str, StateBrief] = {}
    without = []
    for first in range(0, len(nodes), _AT_ONCE):
        some = nodes[first : first + _AT_ONCE]
        values = cast("list[bytes]", client.eval(_READ, len(some), *map(key, some), str(most)))
        for node, data in zip(some, values, strict=True):
            try:
                if data:
                    found[node] = decode_state_brief(data, node)
            except Nonsense as error:
                ignore(node, error.reason)
            if node not in found:
                without.append(node)
    return found, without


def read_vitals(client: redis.Redis, nodes: Sequence[str], models: Models) -> tuple[dict[str, Vitals], dict[str, str]]:
    """Of those nodes that are alive: what health and history need; and of those whose state cannot be taken, why.

    ``models`` is brought forward: only of states whose models are others than before all is decoded, and of each once in `TURNS` calls,
    for the digest is the node's own word. Raises `RedisError`.
    """
    models.turn = (models.turn + 1) % TURNS
    found: dict[str, Vitals] = {}
    ignored: dict[str, str] = {}
    for first in range(0, len(nodes), _AT_ONCE):
        some = nodes[first : first + _AT_ONCE]
        values = cast("list[bytes]", client.eval(_READ, len(some), *_arguments(some)))
        for node, data in zip(some, values, strict=True):
            if not data:
                continue
            try:
                vitals = decode_vitals(data, node)
                if models.are_to_be_read(node, vitals.models_digest):
                    models.put(node, vitals.models_digest, decode_node_state(data, node).models)
            except Nonsense as error:
                models.digests.pop(node, None)
                ignored[node] = error.reason
                ignore(node, error.reason)
            else:
                found[node] = vitals
    return found, ignored


class Models:
    """Which versions which nodes have, as their last states said, also of those that are silent."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.holders: dict[str, set[str]] = {}
        self.coming: dict[str, set[str]] = {}
        self.failed: dict[str, list[ModelState]] = {}
        self.loading: set[str] = set()
        self.turn = 0
        self._of: dict[str, set[str]] = {}

    def are_to_be_read(self, node: str, digest: str) -> bool:
        """Whether they may be others than before: by the node's word, or because it is its turn."""
        return not digest or self.digests.get(node) != digest or int(node[-4:], 16) % TURNS == self.turn

    def put(self, node: str, digest: str, models: Sequence[ModelState]) -> None:
        self.drop(node)
        self.digests[node] = digest
        self._of[node] = {model.version for model in models}
        for model in models:
            if model.state in {"present", "ready", "loading", "loaded"}:
                self.holders.setdefault(model.version, set()).add(node)
            elif model.state == "fetching":
                self.coming.setdefault(model.version, set()).add(node)
        if failed := [model for model in models if model.state == "failed"]:
            self.failed[node] = failed
        if any(model.state == "loading" for model in models):
            self.loading.add(node)

    def drop(self, node: str) -> None:
        """The node is gone, or has others now."""
        for version in self._of.pop(node, ()):
            for held in (self.holders, self.coming):
                if version in held:
                    held[version].discard(node)
                    if not held[version]:
                        del held[version]
        self.digests.pop(node, None)
        self.failed.pop(node, None)
        self.loading.discard(node)

    def keep(self, nodes: Set[str]) -> None:
        """Forget every other node."""
        for gone in (self.digests.keys() | self._of.keys()) - nodes:
            self.drop(gone)


def ignore(node: str, reason: str) -> None:
    """Log that what a node wrote is not taken; now and then."""
    if _seldom(node):
        _log.warning("node_ignored", node=node, reason=reason)


def _arguments(nodes: Sequence[str]) -> list[str]:
    return [*(keys.node_state(node) for node in nodes), str(MOST_STATE_BYTES)]


def _told(nodes: Sequence[str], values: Sequence[bytes]) -> Told:
    told = Told()
    for node, data in zip(nodes, values, strict=True):
        if data:
            try:
                told.states[node] = decode_node_state(data, node)
            except Nonsense as error:
                told.ignored[node] = error.reason
                ignore(node, error.reason)
    return told

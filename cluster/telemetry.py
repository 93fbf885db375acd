"""What nodes last said of themselves, read from Redis: bounded there, checked here, each by itself. No Django."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
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
_NONE = msgspec.Raw()
_READ = """
local found = {}
for number, name in ipairs(KEYS) do
  local value = redis.pcall('GETRANGE', name, 0, ARGV[1])
  found[number] = type(value) == 'string' and value or '?'
end
return found
"""
"""One byte more than is allowed of each, however long it is; a key of another type is nonsense too."""


_BEFORE, _AFTER = keys.node_brief("\0").split("\0")
_READ_BRIEFS = f"""
-- ARGV: ids of nodes, with spaces between them; bytes that a brief may have; the hash that a former call returned.
-- Returns the hash of all briefs, and, where that is another one, the briefs.
local found, counted = {{}}, {{}}
for id in string.gmatch(ARGV[1], '%x+') do
  local value = redis.pcall('GETRANGE', '{_BEFORE}' .. id .. '{_AFTER}', 0, ARGV[2])
  value = type(value) == 'string' and value or '?'
  found[#found + 1] = value
  counted[#counted + 1] = #value .. ':' .. value
end
local hash = redis.sha1hex(table.concat(counted))
if hash == ARGV[3] then return {{hash}} end
table.insert(found, 1, hash)
return found
"""


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


class Briefs:
    """Reads the briefs of the same nodes again and again: Redis returns those of some nodes only when one of them is another than before."""

    def __init__(self) -> None:
        self._nodes: list[str] = []
        self._parts: list[_Part] = []
        self._found: dict[str, StateBrief] = {}

    def read(self, client: redis.Redis, nodes: Sequence[str]) -> Mapping[str, StateBrief]:
        """Of those nodes that are alive and make sense what shows whether anything has changed; the same object as before when nothing
        has. Raises `RedisError`."""
        if self._nodes != nodes:
            self._nodes = list(nodes)
            self._parts = [_Part(self._nodes[first : first + _AT_ONCE]) for first in range(0, len(nodes), _AT_ONCE)]
        # Each is read, though the first may show already that something has changed.
        changed = [part.read(client) for part in self._parts]
        if any(changed):
            self._found = {node: brief for part in self._parts for node, brief in part.found.items()}
        # Nodes of older releases write their states alone, and the dead nothing. Whose brief is nonsense may be alive all the same.
        without = [node for part in self._parts for node in part.without]
        states = _briefs_in_states(client, without) if without else {}
        return self._found | states if states else self._found


class _Part:
    """Some nodes, and what they said last."""

    def __init__(self, nodes: list[str]) -> None:
        self.found: dict[str, StateBrief] = {}
        self.without = nodes
        self._nodes = nodes
        self._joined = " ".join(nodes)
        self._hash = b""

    def read(self, client: redis.Redis) -> bool:
        """Whether anything is another than before."""
        told = cast("list[bytes]", client.eval(_READ_BRIEFS, 0, self._joined, str(MOST_BRIEF_BYTES), self._hash))
        if told[0] == self._hash:
            return False
        self._hash = told[0]
        self.found = _understood(self._nodes, told[1:])
        self.without = [node for node in self._nodes if node not in self.found]
        return True


def _briefs_in_states(client: redis.Redis, nodes: Sequence[str]) -> dict[str, StateBrief]:
    found: dict[str, StateBrief] = {}
    for first in range(0, len(nodes), _AT_ONCE):
        some = nodes[first : first + _AT_ONCE]
        found |= _understood(some, cast("list[bytes]", client.eval(_READ, len(some), *_arguments(some))))
    return found


def _understood(nodes: Sequence[str], values: Sequence[bytes]) -> dict[str, StateBrief]:
    found: dict[str, StateBrief] = {}
    for node, data in zip(nodes, values, strict=True):
        try:
            if data:
                found[node] = decode_state_brief(data, node)
        except Nonsense as error:
            ignore(node, error.reason)
    return found


def read_vitals(client: redis.Redis, nodes: Sequence[str], models: Models) -> tuple[dict[str, Vitals], dict[str, str]]:
    """Of those nodes that are alive: what health and history need; and of those whose state cannot be taken, why.

    ``models`` is brought forward: only of states whose models are others than before all is decoded. That is where their digest is another
    one, and of each node once in `TURNS` calls where they are not the same bytes: the digest is the node's own word. Raises `RedisError`.
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
                # A copy, for it would keep the whole message.
                written, vitals.models = bytes(vitals.models), _NONE
                if models.are_to_be_read(node, vitals.models_digest, written):
                    models.put(node, vitals.models_digest, written, decode_node_state(data, node).models)
            except Nonsense as error:
                models.said.pop(node, None)
                ignored[node] = error.reason
                ignore(node, error.reason)
            else:
                found[node] = vitals
    return found, ignored


class Models:
    """Which versions which nodes have, as their last states said, also of those that are silent."""

    def __init__(self) -> None:
        self.said: dict[str, tuple[str, bytes]] = {}
        """Of each node the digest of its models, and they themselves as it wrote them, when they were read."""
        self.holders: dict[str, set[str]] = {}
        self.coming: dict[str, set[str]] = {}
        self.failed: dict[str, list[ModelState]] = {}
        self.loading: set[str] = set()
        self.turn = 0
        self._of: dict[str, set[str]] = {}

    def are_to_be_read(self, node: str, digest: str, written: bytes) -> bool:
        """Whether they are others than before, by the node's word, or by their bytes when it is its turn."""
        before, bytes_before = self.said.get(node, ("", b""))
        if digest and digest == before and int(node[-4:], 16) % TURNS != self.turn:
            return False
        return written != bytes_before

    def put(self, node: str, digest: str, written: bytes, models: Sequence[ModelState]) -> None:
        self.drop(node)
        self.said[node] = digest, written
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
        self.said.pop(node, None)
        self.failed.pop(node, None)
        self.loading.discard(node)

    def keep(self, nodes: Set[str]) -> None:
        """Forget every other node."""
        for gone in (self.said.keys() | self._of.keys()) - nodes:
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

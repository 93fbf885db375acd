"""What nodes last said of themselves, read from Redis: bounded there, checked here, each by itself. No Django."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import redis
import redis.asyncio

from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import NodeState, Nonsense, StateBrief, decode_node_state, decode_state_brief
from ollamamax.contract.bounds import MOST_STATE_BYTES
from ollamamax.kernel.seldom import Seldom

_log = logs.get(__name__)
_seldom = Seldom()
_AT_ONCE = 200
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
    found: dict[str, StateBrief] = {}
    for first in range(0, len(nodes), _AT_ONCE):
        some = nodes[first : first + _AT_ONCE]
        values = cast("list[bytes]", client.eval(_READ, len(some), *_arguments(some)))
        for node, data in zip(some, values, strict=True):
            if data:
                try:
                    found[node] = decode_state_brief(data, node)
                except Nonsense as error:
                    ignore(node, error.reason)
    return found


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

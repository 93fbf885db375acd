"""What nodes last said of themselves, read from Redis. No Django."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import redis

from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import NodeState, decode_node_state

_log = logs.get(__name__)


def read_states(client: redis.Redis, nodes: Sequence[str]) -> dict[str, NodeState]:
    """The states of those nodes that are alive, in one round trip."""
    if not nodes:
        return {}
    values = cast("list[Any]", client.mget([keys.node_state(node) for node in nodes]))
    found: dict[str, NodeState] = {}
    for node, data in zip(nodes, values, strict=True):
        if data is not None:
            try:
                found[node] = decode_node_state(data)
            except msgspec.DecodeError as error:
                _log.warning("node_state_unreadable", node=node, error=str(error))
    return found

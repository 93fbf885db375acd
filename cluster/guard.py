"""Cuts off nodes that take more of Redis than a node may, for a while, and lets them in again. Redis only: no Django, no Postgres.

Redis has no quota for a user: what nodes hold is measured here once a second where Redis holds more than before, and what gateways count of their messages is read.
A node that is cut off has its Redis user switched off, its connections closed and its keys removed; requests that it ran are tried
elsewhere, as after its death. It is let in again after a minute, the next time after two, and so on up to an hour.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from typing import Any, cast

import msgspec
import redis

from cluster.telemetry import ignore
from ollamamax import logs
from ollamamax.bus import keys
from ollamamax.contract import Cut, Fault, decode_cut, decode_fault, encode_json
from ollamamax.contract.tables import NODES

MOST_BYTES = 16 << 20
"""Of a node's own keys together; a node with a thousand models takes less than one."""
MOST_CONNECTIONS = 100
MOST_CONNECTION_BYTES = 512 << 20
"""What Redis holds for its connections: commands and answers under way, such as tickets with large bodies."""
STATE_MILLISECONDS = 60_000
FIRST_CUT = 60.0
LONGEST_CUT = 3600.0
REMEMBERED = 3600.0
"""Seconds after its end for which a cut counts for how long the next one is."""
FAULT_SECONDS = 60.0
"""For so long a fault is told to the node's owner."""
USUAL_CONNECTIONS = 16
"""Of a node. Connections are looked at one by one only when there are more in all, or they hold much."""
TURNS = 10
"""After so many rounds each node's keys were measured, whether Redis held more or not."""
_BATCH = 200
_MEASURE = resources.files("cluster").joinpath("guard.lua").read_text()
_CLIENT = re.compile(rb"\buser=node\.([0-9a-f]{32})\b")
_MEMORY = re.compile(rb"\btot-mem=(\d+)\b")
_log = logs.get(__name__)


class MeasuringTurns:
    """Whose keys are measured in one process's rounds: a few nodes in turn while Redis holds hardly more than at the last look, else all.

    A node takes more than it may only of memory that Redis then holds: what grows elsewhere meanwhile only makes the look come sooner,
    and what shrinks hides it until the node's turn.
    """

    def __init__(self) -> None:
        self._turn = 0
        self._least = 0

    def pick(self, nodes: list[str], used: int) -> list[str]:
        """``used``: bytes that Redis holds."""
        self._turn = (self._turn + 1) % TURNS
        self._least = min(self._least, used)
        if used - self._least < MOST_BYTES // 2 and self._least:
            return nodes[self._turn :: TURNS]
        self._least = used
        return nodes


def guard_nodes(
    client: redis.Redis, check: Callable[[], None] = lambda: None, turns: MeasuringTurns | None = None
) -> int:
    """Cut off who exceeds a budget, let in again whose time is over. Returns how many were cut off. Raises `RedisError`.

    ``check`` raises when another process does this by now. ``turns`` remembers what was measured; without it all nodes' keys are."""
    nodes = sorted(node.decode() for node in cast("list[bytes]", client.hkeys(keys.directory(NODES.name))) if node)
    now = time.time()
    cuts = held_cuts(client)
    memory = cast("dict[str, Any]", client.info("memory"))
    measured = nodes if turns is None else turns.pick(nodes, int(memory["used_memory"]))
    reasons = {**_by_messages(client, now), **_by_connections(client, nodes, memory), **_by_memory(client, measured)}
    fresh = 0
    for node in nodes:
        cut = cuts.get(node)
        if node in reasons and (cut is None or cut.over or cut.until <= now):
            check()
            _cut_off(client, node, reasons[node], cut, now)
            fresh += 1
        elif cut is not None and not cut.over and cut.until <= now:
            check()
            _let_in(client, node, cut)
        elif cut is not None and cut.until + REMEMBERED <= now:
            client.hdel(keys.NODES_CUT, node)
    return fresh


def held_cuts(client: redis.Redis) -> dict[str, Cut]:
    """Node id to its last cut, of those that had one lately. Raises `RedisError`."""
    held = cast("dict[bytes, bytes]", client.hgetall(keys.NODES_CUT))
    return {node.decode(): decode_cut(value) for node, value in held.items()}


def is_cut_off(client: redis.Redis, node: str) -> bool:
    """Raises `RedisError`."""
    held = cast("bytes | None", client.hget(keys.NODES_CUT, node))
    return held is not None and not decode_cut(held).over


def problems(client: redis.Redis, nodes: Iterable[str], ignored: Mapping[str, str]) -> dict[str, str]:
    """Node id to what is wrong with what it says, for its owner. ``ignored``: whose state cannot be read, and why. Raises `RedisError`."""
    wanted, now = set(nodes), time.time()
    found = {
        node: f"Not all that it says is taken: {fault.reason}"
        for node, fault in _faults(client).items()
        if fault.at > now - FAULT_SECONDS
    }
    found |= {node: f"Its state is ignored: {reason}" for node, reason in ignored.items()}
    for node, cut in held_cuts(client).items():
        if not cut.over:
            found[node] = f"It is cut off for {max(0.0, cut.until - now):.0f} more seconds: {cut.reason}"
    return {node: why for node, why in found.items() if node in wanted}


def note(client: redis.Redis, node: str, reason: str) -> None:
    """Tell the owner that something of the node is not taken. Raises `RedisError`."""
    ignore(node, reason)
    client.hset(keys.NODE_FAULTS, node, encode_json(Fault(reason, time.time())))


def _faults(client: redis.Redis) -> dict[str, Fault]:
    held = cast("dict[bytes, bytes]", client.hgetall(keys.NODE_FAULTS))
    return {node.decode(): decode_fault(value) for node, value in held.items()}


def _by_messages(client: redis.Redis, now: float) -> dict[str, str]:
    """By what gateways counted."""
    faults = _faults(client)
    old = [node for node, fault in faults.items() if fault.at < now - FAULT_SECONDS]
    if old:
        client.hdel(keys.NODE_FAULTS, *old)
    # Gateways tell each second of what goes on: what is older was before it was cut off.
    return {node: fault.reason for node, fault in faults.items() if fault.excess and fault.at > now - 3}


def _by_memory(client: redis.Redis, nodes: list[str]) -> dict[str, str]:
    found = {}
    for first in range(0, len(nodes), _BATCH):
        batch = nodes[first : first + _BATCH]
        named = [keys.node_measured(node) for node in batch]
        names = [name for group in named for name in group]
        taken: Any = client.eval(_MEASURE, len(names), *names, str(len(named[0])), str(STATE_MILLISECONDS))
        for node, size in zip(batch, taken, strict=True):
            if size > MOST_BYTES:
                found[node] = f"its keys in Redis take {size} bytes, of which it may take {MOST_BYTES}"
    return found


def _by_connections(client: redis.Redis, nodes: list[str], memory: dict[str, Any]) -> dict[str, str]:
    connected = cast("dict[str, Any]", client.info("clients"))["connected_clients"]
    held = memory.get("mem_clients_normal", 0)
    if connected < USUAL_CONNECTIONS * (len(nodes) + 8) and held < MOST_CONNECTION_BYTES // 4:
        return {}
    # As text: redis-py makes a dictionary of each line.
    listed = cast("bytes", client.execute_command("CLIENT", "LIST"))
    count: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for line in listed.splitlines():
        if (user := _CLIENT.search(line)) is not None:
            node = user[1].decode()
            count[node] = count.get(node, 0) + 1
            if (size := _MEMORY.search(line)) is not None:
                sizes[node] = sizes.get(node, 0) + int(size[1])
    found = {
        node: f"its connections hold {size} bytes of Redis, of which they may hold {MOST_CONNECTION_BYTES}"
        for node, size in sizes.items()
        if size > MOST_CONNECTION_BYTES
    }
    return found | {
        node: f"it has {number} connections to Redis, of which it may have {MOST_CONNECTIONS}"
        for node, number in count.items()
        if number > MOST_CONNECTIONS
    }


def _cut_off(client: redis.Redis, node: str, reason: str, before: Cut | None, now: float) -> None:
    times = 1 if before is None else before.times + 1
    cut = Cut(reason, now, now + min(LONGEST_CUT, FIRST_CUT * 2 ** min(times - 1, 10)), times)
    client.hset(keys.NODES_CUT, node, encode_json(cut))
    user = keys.node_user(node)
    client.execute_command("ACL", "SETUSER", user, "off")
    client.execute_command("CLIENT", "KILL", "USER", user)
    # Nobody writes them any more.
    client.unlink(*keys.node_keys(node))
    client.hdel(keys.NODE_FAULTS, node)
    _log.error("node_cut_off", node=node, reason=reason, seconds=cut.until - now)


def _let_in(client: redis.Redis, node: str, cut: Cut) -> None:
    client.execute_command("ACL", "SETUSER", keys.node_user(node), "on")
    client.hset(keys.NODES_CUT, node, encode_json(msgspec.structs.replace(cut, over=True)))
    _log.warning("node_let_in_again", node=node)

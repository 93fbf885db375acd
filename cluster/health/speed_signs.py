"""Which nodes write slower than they did, or than nodes of the same kind do. Pure."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from cluster.health.memory import Memory, before
from cluster.health.sign import Sign
from cluster.health.snapshot import SeenNode
from cluster.health.speed import Usual
from ollamamax.contract.health import Value
from ollamamax.contract.measured import Ended

SLOW = 0.4
"""Of what is usual. The more requests run at once the slower each is: speeds are compared where about as many ran, and half as quick is no fault."""
NO_LONGER_SLOW = 0.6
PEERS = 3
MOST_KEPT = 50_000
_HOLD = 60.0


def learn(ended: Sequence[Ended], nodes: Mapping[str, SeenNode], memory: Memory, now: float) -> set[str]:
    """Bring the usual speeds forward. Returns the keys of those that were measured now."""
    measured = set()
    for each in ended:
        node = nodes.get(each.node)
        if node is None or not each.written_tokens or not each.model:
            continue
        running = node.vitals.running if node.vitals is not None else 0
        key = f"{each.node} {min(running, 255).bit_length()} {each.tenant}/{each.model}"
        usual = memory.usual.get(key)
        if usual is None:
            if len(memory.usual) >= MOST_KEPT:
                _forget(memory)
            usual = memory.usual[key] = Usual(now)
        usual.add(now, each.written_tokens, each.written_ms / 1000)
        measured.add(key)
    return measured


def slow_signs(nodes: Mapping[str, SeenNode], memory: Memory, now: float) -> dict[str, list[Sign]]:
    """Node -> what it is slow at."""
    found: dict[str, list[Sign]] = defaultdict(list)
    peers: dict[tuple[str, str, str], list[tuple[str, float]]] = defaultdict(list)
    for key, usual in memory.usual.items():
        if now - usual.at > 300.0 or (speed := usual.now(now)) is None:
            continue
        node_id, load, model = key.split(" ", 2)
        node = nodes.get(node_id)
        if node is None or node.vitals is None:
            continue
        peers[(model, load, _kind(node))].append((node_id, speed))
        past = usual.usual()
        line = NO_LONGER_SLOW if _known(memory, node_id, "slower_than_before", model) else SLOW
        if past is not None and speed < line * past:
            name = model.partition("/")[2]
            told = f"{name} writes {speed:.1f} tokens/s here, and usually {past:.1f} with as many requests at once."
            measured: dict[str, Value] = {"model": name, "tokens_per_second": round(speed, 2), "usual": round(past, 2)}
            found[node_id].append(Sign("slower_than_before", "warning", told, measured, model, _HOLD, _HOLD))
    for (model, _, _), group in peers.items():
        if len(group) < PEERS:
            continue
        usual_here = statistics.median(speed for _, speed in group)
        for node_id, speed in group:
            line = NO_LONGER_SLOW if _known(memory, node_id, "slower_than_peers", model) else SLOW
            if speed < line * usual_here:
                name = model.partition("/")[2]
                told = f"{name} writes {speed:.1f} tokens/s here, and {usual_here:.1f} on the {len(group) - 1} other nodes of its kind."
                values: dict[str, Value] = {
                    "model": name,
                    "tokens_per_second": round(speed, 2),
                    "peers": round(usual_here, 2),
                }
                found[node_id].append(Sign("slower_than_peers", "warning", told, values, model, _HOLD, _HOLD))
    return found


def _known(memory: Memory, node: str, code: str, model: str) -> bool:
    held = memory.nodes.get(node)
    return held is not None and before(held.held, code, model) is not None


def _kind(node: SeenNode) -> str:
    """What it is made of: only the same things are as quick."""
    vitals = node.vitals
    if vitals is None:
        return ""
    engines = ",".join(f"{each.kind} {each.version}" for each in vitals.engines)
    return f"{engines}|{','.join(gpu.name for gpu in vitals.gpus) or vitals.memory_total >> 30}"


def _forget(memory: Memory) -> None:
    """Make room: the half that was not heard of for the longest goes."""
    kept = sorted(memory.usual.items(), key=lambda each: each[1].at)[len(memory.usual) // 2 :]
    memory.usual = dict(kept)

"""A fleet made to a test's wishes, and looks at it one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from cluster.health.judge import judge
from cluster.health.memory import Memory
from cluster.health.snapshot import SeenModel, SeenNode, Snapshot
from ollamamax.contract import Engine, Gpu, Silence, Vitals
from ollamamax.contract.health import FleetHealth, ModelHealth, NodeHealth
from ollamamax.contract.measured import Ended
from ollamamax.contract.tables import Registered

TENANT = "a" * 32
VERSION = "sha256:" + "1" * 64
STEP = 5.0
GIB = 1 << 30


def node_id(number: int) -> str:
    return f"{number:032x}"


def vitals(node: str, seq: int, **changes: Any) -> Vitals:
    usual: dict[str, Any] = {
        "boot": "b",
        "agent_version": "0.2.0",
        "engines": [Engine("ollama", True, version="0.12.0")],
        "capacity": 4,
        "running": 1,
        "waiting": 0,
        "tokens_per_second": 40.0,
        "cpu_percent": 30.0,
        "memory_used": 10 * GIB,
        "memory_total": 64 * GIB,
        "disk_used": 100 * GIB,
        "disk_total": 500 * GIB,
        "gpus": [Gpu(0, "NVIDIA T4", 90.0, 14 * GIB, 16 * GIB, 70.0, 65.0, 0, slowdown_celsius=96.0, throttled=[])],
        "clock_skew_seconds": 0.01,
        "tokens_total": seq * 40,
        "silence": Silence(0.1, 10.0, "writing", "m"),
    }
    return Vitals(node=node, seq=seq, **{**usual, **changes})


def seen(number: int, second: float, *, registered: Mapping[str, Any] | None = None, **changes: Any) -> SeenNode:
    """A node that reported ``second`` times by now. What is no vital of it is the directory's."""
    own = {name: changes.pop(name) for name in ("problem", "cut", "failed", "loading") if name in changes}
    said = None if changes.pop("silent", False) else vitals(node_id(number), int(second), **changes)
    known = Registered(TENANT, f"node-{number}", **(registered or {}))
    return SeenNode(node_id(number), known, said, **own)


class Looks:
    """The judge's looks, every five seconds. What it remembers goes through its codec each time, as from one process to the next."""

    def __init__(self, version: str = "0.2.0") -> None:
        self.now = 1_000_000.0
        self.memory = Memory()
        self.version = version
        self.reports: dict[str, FleetHealth] = {}

    def look(self, nodes: Sequence[SeenNode], *, after: float = STEP, **given: Any) -> FleetHealth:
        self.now += after
        usual: dict[str, Any] = {
            "models": [SeenModel(TENANT, "m:latest", VERSION)],
            "holders": {VERSION: [node.id for node in nodes]},
        }
        snapshot = Snapshot(now=self.now, version=self.version, nodes=nodes, **{**usual, **given})
        self.reports = judge(snapshot, self.memory)
        self.memory = msgspec.msgpack.decode(msgspec.msgpack.encode(self.memory), type=Memory)
        return self.reports.get(TENANT) or FleetHealth(self.now, "healthy", self.reports[""].counts)

    def last(self, make: Callable[[float], Sequence[SeenNode]], seconds: float = 120.0, **given: Any) -> FleetHealth:
        """Look for so long at nodes that report each second."""
        end = self.now + seconds
        while self.now < end:
            report = self.look(make(self.now + STEP), **given)
        return report


def ended(number: int, ok: int = 0, failed: int = 0, speed: float | None = None) -> Ended:
    """Requests of a node; with a ``speed`` they wrote 1,000 tokens each at so many a second."""
    found = Ended(TENANT, "m:latest", node_id(number), ok=ok, errors={"engine_failed": failed} if failed else {})
    if speed is not None:
        found.written_tokens, found.written_ms = 1000 * ok, 1000 * ok / speed * 1000
    return found


def codes(found: NodeHealth | ModelHealth | FleetHealth | None) -> set[str]:
    return set() if found is None else {each.code for each in found.findings}

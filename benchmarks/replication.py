"""One model to many nodes that have it of each other: bytes that the control plane gave, and time against one node alone; real TLS and tickets, in one process.

Each node fetches, and gives, no faster than ``rate``; digests are checked by each node and once more here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.worker.peers import PeerNode, Registry

PIECE = 256 << 10
PATIENCE = 20.0


@dataclass(frozen=True)
class Size:
    nodes: int = 50
    megabytes: int = 16
    rate: int = 1 << 20
    """Bytes a second."""


@dataclass(frozen=True)
class Result:
    alone_seconds: float
    seconds: float
    registry_models: float
    """Bytes that the control plane gave, in sizes of the model."""
    right: int


async def _spread(count: int, size: Size, data: bytes) -> tuple[float, float, int]:
    folder = Path(tempfile.mkdtemp())
    registry = Registry(data, PIECE)
    nodes = [PeerNode(f"n{number}", folder, registry, size.rate) for number in range(count)]
    try:
        for node in nodes:
            await node.start()
        began = time.monotonic()
        await asyncio.gather(*(node.fetch(nodes, PATIENCE) for node in nodes))
        took = time.monotonic() - began
        return took, registry.bytes_given / len(data), sum(node.has_it() for node in nodes)
    finally:
        for node in nodes:
            await node.close()
        shutil.rmtree(folder)


def measure(size: Size) -> Result:
    data = os.urandom(size.megabytes << 20)
    alone, _, _ = asyncio.run(_spread(1, size, data))
    took, given, right = asyncio.run(_spread(size.nodes, size, data))
    return Result(alone, took, given, right)


def report(size: Size, result: Result) -> str:
    return (
        f"{size.megabytes} MiB to {size.nodes} nodes, {size.rate >> 10} KiB/s each: the control plane gave {result.registry_models:.2f} times the model "
        f"(goal: at most 1.2), in {result.seconds:.1f} s, {result.seconds / result.alone_seconds:.2f} times one node's "
        f"{result.alone_seconds:.1f} s (goal: at most 2); {result.right} of {size.nodes} have the right bytes"
    )

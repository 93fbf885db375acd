"""What prediction takes of a node at one moment: few numbers, each bounded, made of what the node says and what gateways counted of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.health.snapshot import SeenNode
from ollamamax.contract import Gpu
from ollamamax.contract.measured import Ended

MOST_GPUS = 16
"""Cards of one node that are followed."""
MOST_MODELS = 32
"""Kinds of requests of one node whose speed is followed."""
NONE = math.nan
"""Stands for what was not measured."""
USUAL_SLOWDOWN = 95.0
"""Degrees Celsius, of cards that do not tell at which they slow themselves down."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """Shares are between 0 and 1, temperatures in degrees Celsius, power in watts; what is not known is `NONE`."""

    index: int
    memory: float
    watts: float
    celsius: float
    slowdown: float
    corrected: float
    """Memory errors that were corrected since the driver was loaded."""


@dataclass(slots=True)
class CountedRequests:
    """Requests of one node that ended since its last reading. ``written``: by kind of request (model, and about how many ran at once)
    the tokens and the seconds of streams that they took."""

    ok: int = 0
    failed: int = 0
    written: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, ended: Ended, running: int, theirs: int) -> None:
        """``theirs``: those failures that the node had a part in."""
        self.ok += ended.ok
        self.failed += theirs
        if ended.written_tokens > 0 and ended.model and 0.0 < ended.written_ms < math.inf:
            key = f"{min(running, 255).bit_length()} {ended.tenant}/{ended.model}"
            if key not in self.written and len(self.written) >= MOST_MODELS:
                return
            tokens, seconds = self.written.get(key, (0, 0.0))
            self.written[key] = tokens + ended.written_tokens, seconds + ended.written_ms / 1000


@dataclass(frozen=True, slots=True)
class NodeReading:
    """``at`` in Unix seconds by the control plane's clock. ``peers`` names what is comparable: the same tenant, region and make.
    ``fetching``: bytes of models come to its disk."""

    node: str
    at: float
    peers: str
    memory: float
    disk: float
    skew: float
    fetching: bool
    counted: CountedRequests
    gpus: tuple[GpuReading, ...] = ()


def reading_of(seen: SeenNode, counted: CountedRequests, at: float, *, fetching: bool = False) -> NodeReading | None:
    """``None`` of a node that says nothing that can be taken: then there is no data."""
    vitals = seen.vitals
    if vitals is None:
        return None
    kinds = ",".join(sorted({gpu.name for gpu in vitals.gpus[:MOST_GPUS]}))
    return NodeReading(
        seen.id,
        at,
        f"{seen.registered.tenant}|{seen.registered.region}|{kinds}",
        _share(vitals.memory_used, vitals.memory_total),
        _share(vitals.disk_used, vitals.disk_total),
        _number(vitals.clock_skew_seconds),
        fetching,
        counted,
        tuple(_gpus(vitals.gpus)),
    )


def _gpus(gpus: Iterable[Gpu]) -> Iterable[GpuReading]:
    seen: set[int] = set()
    for gpu in gpus:
        if gpu.index in seen or len(seen) >= MOST_GPUS:
            continue
        seen.add(gpu.index)
        slowdown = gpu.slowdown_celsius
        yield GpuReading(
            gpu.index,
            _share(gpu.memory_used, gpu.memory_total),
            _number(gpu.power_watts),
            _number(gpu.temperature_celsius),
            slowdown if slowdown is not None and 60 <= slowdown <= 150 else USUAL_SLOWDOWN,
            _number(gpu.ecc_corrected),
        )


def _share(used: int | None, total: int | None) -> float:
    return min(1.0, max(0.0, used / total)) if used is not None and total else NONE


def _number(value: float | None) -> float:
    return float(value) if value is not None and abs(value) < 1e12 else NONE

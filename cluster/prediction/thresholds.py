"""From when on an outlook is a warning, by detector. The numbers were chosen on the training seeds of the corpus: ``python -m benchmarks prediction --train`` (docs/prediction.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Detector = Literal[
    "disk_full",
    "memory_full",
    "gpu_memory_full",
    "gpu_hot",
    "gpu_memory_errors",
    "engine_slow",
    "engine_failing",
    "clock_skew",
]

STAYS = 2.0
"""A warning stays while the limit is reached within so many times the time within which it was given."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``within``: minutes, until when the limit is reached at the latest; ``size``: how far it is from usual at least, in the detector's unit; ``late``: the newer half's
    slope at least, as a part of the older one's; ``hold``: readings in a row; ``clear``: readings without a reason after which a warning goes."""

    within: float
    size: float
    late: float
    hold: int
    clear: int


THRESHOLDS: Mapping[Detector, Thresholds] = {
    "disk_full": Thresholds(60.0, 0.02, 0.5, 1, 10),
    "memory_full": Thresholds(15.0, 0.03, 0.5, 3, 10),
    "gpu_memory_full": Thresholds(60.0, 0.03, 0.5, 3, 10),
    "gpu_hot": Thresholds(30.0, 10.0, -9.0, 1, 60),
    "gpu_memory_errors": Thresholds(20.0, 50.0, 0.8, 1, 20),
    "engine_slow": Thresholds(20.0, 0.2, -9.0, 3, 30),
    "engine_failing": Thresholds(60.0, 10.0, 1.0, 2, 20),
    "clock_skew": Thresholds(10.0, 0.3, 0.5, 3, 10),
}
DETECTORS: tuple[Detector, ...] = tuple(THRESHOLDS)

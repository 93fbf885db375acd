"""Sign: something that is wrong right now, before it is known whether it lasts."""

from __future__ import annotations

import msgspec

from ollamamax.contract.health import Severity, Value

PREDICTED = "predicted_"
"""Signs that say what is likely to fail are called by their detectors with this before."""


class Sign(msgspec.Struct, array_like=True):
    """``of`` tells signs of one code apart, such as those of two GPUs. A sign becomes a finding when it has been there for ``hold``
    seconds at every look, and stays one until it has been away for ``clear`` seconds: nothing flaps."""

    code: str
    severity: Severity
    text: str
    values: dict[str, Value] = {}
    of: str = ""
    hold: float = 0.0
    clear: float = 10.0

    @property
    def key(self) -> str:
        return f"{self.code} {self.of}" if self.of else self.code


def above(value: float, warn: float, critical: float, margin: float, before: Severity | None) -> Severity | None:
    """How bad a value is. Once it was bad it must fall by ``margin`` below the line before it is less so. NaN is not bad."""
    if value >= critical or (before == "critical" and value >= critical - margin):
        return "critical"
    if value >= warn or (before is not None and value >= warn - margin):
        return "warning"
    return None

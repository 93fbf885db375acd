"""What is counted of attempts to log in."""

from __future__ import annotations

from typing import Literal

from ollamamax.observability.instruments import counter
from ollamamax.observability.table import LABELS, OTHER

_LOG_INS = counter("ollamamax_log_ins_total")
_METHODS = LABELS["method"].values or ()


def log_in_ended(method: str, result: Literal["ok", "refused", "locked_out"]) -> None:
    _LOG_INS.labels(method if method in _METHODS else OTHER, result).inc()

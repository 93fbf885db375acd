"""What is counted of attempts to log in."""

from __future__ import annotations

import itertools
from typing import Literal, get_args

from ollamamax.observability.instruments import counter
from ollamamax.observability.table import LABELS, OTHER

_LOG_INS = counter("ollamamax_log_ins_total")
_METHODS = LABELS["method"].values or ()
Result = Literal["ok", "refused", "locked_out"]
for _method, _result in itertools.product(_METHODS, get_args(Result)):
    _LOG_INS.labels(_method, _result)  # a rate needs a value to start from


def log_in_ended(method: str, result: Result) -> None:
    _LOG_INS.labels(method if method in _METHODS else OTHER, result).inc()

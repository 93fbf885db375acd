"""Labels of nodes: what may stand in one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ollamamax.kernel.errors import InvalidRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}", re.ASCII)
_VALUE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,255}")
MOST_LABELS = 32


def require_labels(labels: Mapping[str, str], param: str = "labels") -> None:
    """Raises `InvalidRequest`."""
    if len(labels) > MOST_LABELS:
        raise InvalidRequest(f"A node has at most {MOST_LABELS} labels.", param=param)
    for name, value in labels.items():
        if _NAME.fullmatch(name) is None:
            raise InvalidRequest(
                "A label's name has up to 63 letters, digits, and . _ / -, and begins with a letter or digit.",
                param=param,
            )
        if _VALUE.fullmatch(value) is None:
            raise InvalidRequest("A label's value has up to 255 printable characters.", param=param)

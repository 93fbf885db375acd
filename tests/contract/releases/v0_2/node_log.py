"""What a node tells of its log when it is asked: bounded lines, without secrets."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

LogSource = Literal["agent", "engine"]
MOST_LINES = 500
MOST_LINE = 1000
"""Characters of one line; what is longer is cut."""
MOST_LOG_BYTES = 1 << 20


class LogLine(msgspec.Struct, array_like=True):
    """``number`` counts from 1 since the process began."""

    number: Annotated[int, Meta(ge=0, le=2**53)]
    text: Annotated[str, Meta(max_length=MOST_LINE)]


class NodeLog(msgspec.Struct):
    """``boot`` is another one after the node's process was started anew: numbers begin again. ``note`` says why there is no line."""

    source: LogSource
    boot: Annotated[str, Meta(max_length=64)]
    lines: Annotated[list[LogLine], Meta(max_length=MOST_LINES)]
    note: Annotated[str, Meta(max_length=300)] = ""


encode_node_log = msgspec.json.Encoder().encode

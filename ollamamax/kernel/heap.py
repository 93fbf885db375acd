"""The heap of a process that serves many requests."""

from __future__ import annotations

import gc

NEW_OBJECTS = 10_000
"""After so many new objects Python looks for cycles. At its own 700 it would look twice a request, which leaves hardly any."""


def keep() -> None:
    """Call it when all is loaded: no full collection, at which all streams stand still, looks at that again."""
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)

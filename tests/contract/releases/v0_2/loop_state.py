"""How a control loop fares, as the process that leads it tells it (hash `ollamamax.bus.keys.LOOPS`)."""

from __future__ import annotations

import msgspec


class LoopState(msgspec.Struct, omit_defaults=True):
    """Of the last run of one loop. ``fence`` is the number of the lease it ran under; 0 where a loop needs none."""

    loop: str
    process: str
    """Who leads: the id of the controller's process."""
    began_at: float
    """Unix seconds."""
    took_ms: float
    behind_ms: float
    """How much later than it was due the run began."""
    every_ms: float
    fence: int = 0
    error: str = ""
    """What ended the run, or empty."""
    spent_ms: float = 0.0
    """Processor time of all runs of the loop in this process."""


decode_loop_state = msgspec.json.Decoder(LoopState).decode

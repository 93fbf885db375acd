"""The clock by which what must end at a given time is judged: Redis's, which all processes of an installation share.

Each gateway measures by how much its own is ahead, each second. No Django.
"""

from __future__ import annotations

import time

NOISE = 1.0
"""Seconds that the measurement may be wrong by: less is no difference."""
_ahead = 0.0


def now() -> float:
    """Unix seconds."""
    return time.time() - _ahead


def compare(own: float, redis: tuple[int, int]) -> None:
    """``own``: this machine's time when Redis's was as `TIME` tells it (seconds, microseconds)."""
    global _ahead
    ahead = own - (redis[0] + redis[1] / 1e6)
    _ahead = ahead if abs(ahead) > NOISE else 0.0

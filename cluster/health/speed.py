"""How quickly one model usually writes on one node, and how it does now. Speeds are tokens a second of one stream."""

from __future__ import annotations

import math

import msgspec

HALF_LIFE = 6 * 3600.0
RECENT_HALF_LIFE = 60.0
ENOUGH = 2000.0
"""Tokens that must have been written before a speed is usual."""
ENOUGH_NOW = 200.0


class Usual(msgspec.Struct, array_like=True):
    """Two averages that fade, a slow and a quick one, each as its tokens and the seconds that they took."""

    at: float = 0.0
    tokens: float = 0.0
    seconds: float = 0.0
    tokens_now: float = 0.0
    seconds_now: float = 0.0

    def add(self, now: float, tokens: int, seconds: float) -> None:
        """So many tokens were written in so many seconds of streams. What is no time counts as nothing."""
        if not (tokens > 0 and 0.0 < seconds < math.inf):
            return
        passed = max(0.0, now - self.at)
        slow, quick = 0.5 ** (passed / HALF_LIFE), 0.5 ** (passed / RECENT_HALF_LIFE)
        # What is slow now is no part of what is usual for as long as it is that much slower.
        usual = self.usual()
        learns = usual is None or tokens / seconds > 0.5 * usual
        self.tokens = self.tokens * slow + (tokens if learns else 0.1 * tokens)
        self.seconds = self.seconds * slow + (seconds if learns else 0.1 * seconds)
        self.tokens_now = self.tokens_now * quick + tokens
        self.seconds_now = self.seconds_now * quick + seconds
        self.at = now

    def usual(self) -> float | None:
        return self.tokens / self.seconds if self.tokens >= ENOUGH and self.seconds > 0 else None

    def now(self, at: float) -> float | None:
        """``None`` where nothing, or too little to say, was written within the last minutes."""
        fresh = self.tokens_now * 0.5 ** (max(0.0, at - self.at) / RECENT_HALF_LIFE)
        return self.tokens_now / self.seconds_now if fresh >= ENOUGH_NOW and self.seconds_now > 0 else None

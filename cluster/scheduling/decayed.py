"""Means and lines through measurements in which each counts half as much with every minute that passes."""

from __future__ import annotations

HALF_LIFE = 60.0
FORGOTTEN = 0.05
"""Measurements that are left when a mean counts as unknown again: one alone lasts 4.3 minutes, a hundred 11."""


class Decayed:
    """The mean of ``amount / per``, weighted by ``per``: of seconds a request, or of tokens a second."""

    __slots__ = ("_amount", "_at", "_count", "weight")

    def __init__(self) -> None:
        self._amount = self.weight = self._count = 0.0
        """``weight``: the weight of all that was measured; 0 before the first."""
        self._at = 0.0

    def add(self, amount: float, per: float = 1.0, *, now: float) -> None:
        """``now`` in seconds, of a clock that goes forward."""
        kept = 0.5 ** ((now - self._at) / HALF_LIFE) if self._count else 0.0
        self._amount = self._amount * kept + amount
        self.weight = self.weight * kept + per
        self._count = self._count * kept + 1
        self._at = max(now, self._at)

    def value(self, now: float) -> float | None:
        """``None`` before the first measurement and when the last ones are too long ago."""
        if not self.weight or self._count * 0.5 ** ((now - self._at) / HALF_LIFE) < FORGOTTEN:
            return None
        return self._amount / self.weight


class Line:
    """A straight line through points: what a token takes, by the number of streams beside it.

    Where the points do not tell how steep it is, because they all lie at one place, it rises by `SLOPE` of its beginning.
    """

    SLOPE = 0.1
    FIRM = 4.0
    """How many points, one step away from the others, count as much as the assumption."""

    __slots__ = ("_at", "_count", "_x", "_xx", "_xy", "_y")

    def __init__(self) -> None:
        self._at = self._count = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, x: float, y: float, *, now: float) -> None:
        kept = 0.5 ** ((now - self._at) / HALF_LIFE) if self._count else 0.0
        self._count = self._count * kept + 1
        self._x = self._x * kept + x
        self._y = self._y * kept + y
        self._xx = self._xx * kept + x * x
        self._xy = self._xy * kept + x * y
        self._at = max(now, self._at)

    def values(self, now: float) -> tuple[float, float] | None:
        """Where it begins (at 0) and how much it rises with each step, neither below 0; ``None`` when that is not known."""
        if not self._count or self._count * 0.5 ** ((now - self._at) / HALF_LIFE) < FORGOTTEN:
            return None
        x, y = self._x / self._count, self._y / self._count
        assumed = y * self.SLOPE / (1 + self.SLOPE * x)
        spread, together = self._xx - self._count * x * x, self._xy - self._count * x * y
        slope = max(0.0, (together + self.FIRM * assumed) / (max(0.0, spread) + self.FIRM))
        # It must not begin below 0, nor so low that an idle node looked like no work at all.
        slope = min(slope, y * 0.9 / x) if x > 0 else slope
        return y - slope * x, slope

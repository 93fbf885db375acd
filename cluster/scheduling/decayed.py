"""Decayed: a mean of measurements in which each counts half as much with every minute that passes."""

from __future__ import annotations

HALF_LIFE = 60.0
FORGOTTEN = 0.05
"""Measurements that are left when a mean counts as unknown again: one alone lasts 4.3 minutes, a hundred 11."""


class Decayed:
    """The mean of ``amount / per``, weighted by ``per``: of seconds a request, or of tokens a second."""

    __slots__ = ("_amount", "_at", "_count", "_per")

    def __init__(self) -> None:
        self._amount = self._per = self._count = 0.0
        self._at = 0.0

    def add(self, amount: float, per: float = 1.0, *, now: float) -> None:
        """``now`` in seconds, of a clock that goes forward."""
        kept = 0.5 ** ((now - self._at) / HALF_LIFE) if self._count else 0.0
        self._amount = self._amount * kept + amount
        self._per = self._per * kept + per
        self._count = self._count * kept + 1
        self._at = max(now, self._at)

    def value(self, now: float) -> float | None:
        """``None`` before the first measurement and when the last ones are too long ago."""
        if not self._per or self._count * 0.5 ** ((now - self._at) / HALF_LIFE) < FORGOTTEN:
            return None
        return self._amount / self._per

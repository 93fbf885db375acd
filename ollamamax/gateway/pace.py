"""How many requests of one tenant may begin in a second while several ask: fewer as soon as the process runs late. Pure."""

from __future__ import annotations

LATE_SECONDS = 0.003
"""So late a timer may be: what is later was held up by the work of this process, or by others that want its processor."""
LEAST, FIRST, MOST = 50.0, 200.0, 5000.0
"""Requests a second: as slow as it gets, before anything is known, and so quick that nobody is held back."""
BURST = 8
"""Requests that may begin at once after a pause."""
GONE_SECONDS = 2.0
"""After so long without a request an owner counts no more."""
_SLOWER, _QUICKER = 0.15, 1.01


class Pace:
    """One per process; ``now`` is of one monotonic clock.

    One rate for all owners: whoever asks less often than that is never held back, whoever floods gets as much as the process can do
    without being late for the others. With one owner alone nobody is held back.
    """

    def __init__(self) -> None:
        self.rate = FIRST
        self._due: dict[str, float] = {}
        """By owner, until when its requests are spoken for, at one each ``1 / rate`` seconds."""
        self._known: set[str] = set()

    @property
    def several(self) -> bool:
        """Whether somebody is there to be protected from another."""
        return len(self._known) > 1

    def asks(self, owner: str, now: float) -> None:
        """One whom others are to be protected for: a tenant whose good key asks."""
        if owner not in self._known:
            self.forget_old(now)
            self._known.add(owner)
            self._due.setdefault(owner, now)
            if len(self._known) == 2:
                self.rate = FIRST  # what it was is long ago: one alone is not held back, and tells nothing

    def wait(self, owner: str, now: float) -> float:
        """Seconds until a request of this owner may begin; 0 when it may now."""
        if len(self._known) < 2 or (due := self._due.get(owner)) is None:
            return 0.0
        return max(0.0, due - now - BURST / self.rate)

    def begins(self, owner: str, now: float) -> None:
        # What one does alone is not held against it later.
        self._due[owner] = max(now, self._due.get(owner, now)) + 1 / self.rate if len(self._known) > 1 else now

    def look(self, late: float, *, held: bool) -> None:
        """A timer came ``late`` seconds; ``held``: somebody is held back."""
        if late > LATE_SECONDS:
            self.rate = max(LEAST, self.rate * max(0.5, 1 - _SLOWER * late / LATE_SECONDS))
        elif held:
            self.rate = min(MOST, self.rate * _QUICKER)

    def forget_old(self, now: float) -> None:
        for owner in [owner for owner, due in self._due.items() if due < now - GONE_SECONDS]:
            del self._due[owner]
            self._known.discard(owner)

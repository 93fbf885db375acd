"""Circuit breakers, one for each node and version: after a failure requests go elsewhere for a while, then one of them tries again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
TRIAL = 60.0
"""Seconds after which a trial that never ended counts no more."""


@dataclass(slots=True)
class _Open:
    until: float
    pause: float
    trial_at: float | None = None
    spoke: bool = False
    """The one that tries again has had its first output."""


class Breakers:
    """The breakers of this process. One opens at the first failure, because a request that failed has been tried elsewhere by then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.opened: dict[tuple[str, str], _Open] = {}
        """Of nodes and versions; empty as long as all goes well, so that nobody need ask."""

    def is_open(self, node: str, version: str) -> bool:
        """Whether requests should keep away: the pause is not over, or the one that tries again has not ended yet."""
        if not self.opened or (state := self.opened.get((node, version))) is None:
            return False
        if state.spoke:
            return False
        now = self._clock()
        return now < state.until or (state.trial_at is not None and now - state.trial_at < TRIAL)

    def given(self, node: str, version: str) -> None:
        """A request goes there. After the pause the first one is the trial."""
        if (state := self.opened.get((node, version))) is not None and state.trial_at is None:
            state.trial_at = self._clock()

    def spoke(self, node: str, version: str) -> None:
        """A request there has its first output. That ends a trial: a long answer must not keep all others away until its end."""
        if (state := self.opened.get((node, version))) is not None and state.trial_at is not None:
            state.spoke = True

    def failed(self, node: str, version: str) -> None:
        before = self.opened.get((node, version))
        # Requests that were there already fail together; that is one failure.
        if before is not None and self._clock() < before.until:
            before.spoke = False
            return
        pause = FIRST_PAUSE if before is None else min(LONGEST_PAUSE, before.pause * 2)
        self.opened[(node, version)] = _Open(self._clock() + pause, pause)

    def succeeded(self, node: str, version: str) -> None:
        self.opened.pop((node, version), None)

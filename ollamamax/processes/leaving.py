"""How a process that was told to stop goes without losing a request: what it still does, and until when. Pure, but for `unready`."""

from __future__ import annotations

from enum import Enum
from typing import Any

from ollamamax.gateway import readiness

_QUIET = 0.2
"""The part of the announcement after which a process that nobody is connected to need not wait for its end."""


class Stage(Enum):
    SERVING = "serving"
    ANNOUNCING = "announcing"
    """Everybody is answered, on new connections too. Each answer ends its connection and says so; `/readyz` is 503."""
    CLOSING = "closing"
    """No new connections. What is asked on those that are open is answered; those that rest are closed."""
    OVER = "over"
    """Nobody is left, or what still runs is cut."""


class Leaving:
    """One process. ``announce`` and ``grace`` are seconds from the signal, ``now`` is of one monotonic clock."""

    def __init__(self, announce: float, grace: float) -> None:
        self._announce, self._grace = announce, grace
        self.begun = False
        self._begun: float | None = None
        self._closes = False
        self._quiet_since = 0.0
        self._seen = -1

    def begin(self, now: float) -> None:
        if self._begun is None:
            self.begun, self._begun = True, now

    def stage(self, now: float, connected: int, seen: int) -> Stage:
        """Asked again and again. ``connected``: connections that are open; ``seen``: how many there have been in all."""
        if self._begun is None:
            return Stage.SERVING
        if now - self._begun >= self._grace:
            return Stage.OVER
        if self._closes:
            return Stage.CLOSING if connected else Stage.OVER
        if connected or seen != self._seen:
            self._seen, self._quiet_since = seen, now
        is_quiet = now - self._quiet_since >= self._announce * _QUIET
        self._closes = is_quiet or now - self._begun >= self._announce
        return Stage.CLOSING if self._closes else Stage.ANNOUNCING

    def may_close(self, now: float, rests_since: float) -> bool:
        """Whether a connection on which nobody has asked anything since then may be closed: so long it was still answered.

        No answer has told its client, so a request may be on its way; the longer it rests the less likely that is.
        """
        return self._begun is not None and now - max(self._begun, rests_since) >= self._announce

    def seconds_left(self, now: float) -> float:
        return self._grace if self._begun is None else max(0.0, self._begun + self._grace - now)


def unready(application: Any, leaving: Leaving) -> Any:
    """``application``, whose `/readyz` is 503 from the signal on, so that load balancers send nobody here."""

    def run(scope: Any, receive: Any, send: Any) -> Any:
        if leaving.begun and scope["type"] == "http" and scope["path"] == readiness.PATH:
            return readiness.tell(send, {"process": "stopping"})
        return application(scope, receive, send)

    # It is no coroutine function, by which servers tell ASGI 3 from 2 (`asgiref.compatibility`, uvicorn's ``interface``).
    run._asgi_single_callable = True  # type: ignore[attr-defined]
    return run

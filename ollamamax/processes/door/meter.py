"""Measures what one HTTP/1.1 connection sends, beside whatever parser reads it. Pure: bytes and times in, verdicts out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ollamamax.env import Environment

LEAST_RATE = 500
"""Bytes a second that a body brings on average, when it takes longer than it may pause."""
LINGER_SECONDS = 5.0
"""How long a client may go on sending a body that was answered before its end."""
LINGER_BYTES = 4 << 20
"""And how much of it."""
_WRAPPING = 16
"""Bytes of chunk sizes, extensions and trailers that come with one byte of a body at most, beyond the bytes of a head."""
STEP = 16 << 10
"""A parser is fed so many bytes at once."""


class Phase(Enum):
    """What a connection is expected to send."""

    HEAD = "head"
    BODY = "body"
    NOTHING = "nothing"
    """The answer is on its way, or no request has begun."""
    REST = "rest"
    """The rest of a body that nobody reads any more."""


@dataclass(frozen=True)
class WireBounds:
    """Of one request: bytes and lines of its head, seconds for its head, seconds that its body may pause."""

    head_bytes: int = 64 << 10
    headers: int = 100
    head_seconds: float = 15.0
    body_seconds: float = 30.0

    @staticmethod
    def of(env: Environment | dict[str, Any]) -> WireBounds:
        return WireBounds(
            env["OLLAMAMAX_MAX_HEADER_BYTES"],
            env["OLLAMAMAX_MAX_HEADERS"],
            env["OLLAMAMAX_HEADER_TIMEOUT_SECONDS"],
            env["OLLAMAMAX_BODY_TIMEOUT_SECONDS"],
        )


class RequestTooFar(Exception):
    """The request goes too far; ``status`` says how, 0 where it was answered already."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ConnectionMeter:
    """One connection. The server reports what its parser finds; times are seconds of one monotonic clock."""

    __slots__ = (
        "_bounds",
        "_last",
        "_looked",
        "_since",
        "_unread",
        "body_bytes",
        "head_bytes",
        "phase",
        "wrapping",
    )

    def __init__(self, bounds: WireBounds, now: float) -> None:
        self._bounds = bounds
        self.phase = Phase.HEAD
        self._since = self._last = self._looked = now
        self.head_bytes = self.body_bytes = self.wrapping = self._unread = 0

    @property
    def rests(self) -> bool:
        """No byte of a request has come that is not answered."""
        return self.phase is Phase.NOTHING or (self.phase is Phase.HEAD and not self.head_bytes)

    def arrives(self, now: float) -> None:
        """Bytes came: the first of a request start its clock, whatever they are."""
        if self.phase is Phase.NOTHING:
            self.head_begins(now)
        elif self.phase is Phase.BODY:
            self._last = now

    def room(self) -> int:
        """How many bytes may be fed now. Raises `RequestTooFar` when a head has had all of its own."""
        if self.phase is not Phase.HEAD:
            return STEP
        room = self._bounds.head_bytes - self.head_bytes
        if room <= 0:
            raise RequestTooFar(431)
        return min(room, STEP)

    def fed(self, size: int, before: Phase, body_before: int) -> None:
        """``size`` bytes were fed in the phase ``before``. Raises `RequestTooFar` when a body is mostly not a body."""
        if before is not self.phase:
            return
        if before is Phase.HEAD:
            self.head_bytes += size
        elif before is Phase.BODY:
            self.wrapping += size - (self.body_bytes - body_before)
            if self.wrapping > self._bounds.head_bytes + _WRAPPING * self.body_bytes:
                raise RequestTooFar(400)
        elif before is Phase.REST:
            self._unread += size
            if self._unread > LINGER_BYTES:
                raise RequestTooFar(0)

    def head_begins(self, now: float) -> None:
        self.phase = Phase.HEAD
        self._since = now
        self.head_bytes = self.body_bytes = self.wrapping = 0

    def head_ends(self, now: float, headers: int) -> None:
        """``headers``: how many it had. Raises `RequestTooFar` for too many."""
        if headers > self._bounds.headers:
            raise RequestTooFar(431)
        self.phase = Phase.BODY
        self._since = self._last = now

    def body(self, size: int) -> None:
        self.body_bytes += size

    def request_ends(self) -> None:
        self.phase = Phase.NOTHING

    def answered(self, now: float) -> None:
        """The whole answer was given."""
        if self.phase is Phase.BODY:
            self.phase = Phase.REST
            self._since = now
            self._unread = 0

    def is_late(self, now: float, *, held_up: bool) -> bool:
        """Whether the client took too long. Asked now and then; ``held_up``: it could not send, so this time is not its own."""
        looked, self._looked = self._looked, now
        if held_up:
            self._since += now - looked
            self._last += now - looked
        match self.phase:
            case Phase.HEAD:
                return now - self._since > self._bounds.head_seconds
            case Phase.BODY:
                pause = self._bounds.body_seconds
                return now - self._last > pause or now - self._since > pause + self.body_bytes / LEAST_RATE
            case Phase.REST:
                return now - self._since > LINGER_SECONDS
        return False

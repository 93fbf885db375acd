"""What became of one attempt to deliver, and what follows of it. Pure."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import msgspec

from ollamamax.kernel.retries import pause

DAY = datetime.timedelta(days=1)
"""How long an event is tried to be delivered."""
MOST_KEPT = 20
"""Attempts of one delivery that its log shows."""
MOST_EXCERPT = 1000
"""Bytes of an answer that the log shows."""
MOST_PAUSE = 60.0
"""Seconds for which a webhook that failed is left alone, at most; each delivery has its own longer pauses besides."""
GONE = 410


class Tried(msgspec.Struct, omit_defaults=True):
    """One attempt: ``at`` in UTC, ``status`` of the answer or ``None`` where none came, and then ``error`` says why."""

    at: datetime.datetime
    took_ms: float
    status: int | None = None
    error: str = ""
    excerpt: str = ""

    @property
    def arrived(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver says that it is there no more (RFC 9110, section 15.5.11)."""
        return self.status == GONE


@dataclass(frozen=True)
class Next:
    """``at``: when the delivery is tried again, ``None`` where it is given up. ``webhook_at``: when the webhook is."""

    at: datetime.datetime | None
    webhook_at: datetime.datetime


def after_failure(
    *, tries: int, until: datetime.datetime, failures: int, now: datetime.datetime, chance: float
) -> Next:
    """``tries`` of this delivery and ``failures`` in a row of its webhook, this one among both."""
    at = now + datetime.timedelta(seconds=pause(tries, chance))
    quiet = datetime.timedelta(seconds=pause(failures, chance, first=1.0, most=MOST_PAUSE))
    return Next(at if at <= until else None, now + quiet)


def log_with(attempts: list[object], tried: Tried) -> list[object]:
    """The log of a delivery with one attempt more; the oldest go."""
    return [*attempts, msgspec.to_builtins(tried)][-MOST_KEPT:]


def excerpt_of(body: bytes) -> str:
    """As text that Postgres keeps."""
    return body[:MOST_EXCERPT].decode("utf-8", "replace").replace("\0", "�")

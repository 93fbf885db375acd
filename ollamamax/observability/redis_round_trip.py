"""How long Redis takes to answer what a process asks of it each second anyway."""

from __future__ import annotations

from ollamamax.observability.instruments import counter, histogram

_TOOK = histogram("ollamamax_redis_round_trip_seconds")
_FAILURES = counter("ollamamax_redis_failures_total")


def answered(seconds: float) -> None:
    _TOOK.observe(seconds)


def failed() -> None:
    _FAILURES.inc()

"""What a controller counts of its loops and leases."""

from __future__ import annotations

import time

from ollamamax.bus.loops import Loop
from ollamamax.observability import redis_round_trip
from ollamamax.observability.instruments import NONE, counter, gauge, histogram

_RUNS = counter("ollamamax_loop_runs_total")
_DURATION = histogram("ollamamax_loop_duration_seconds")
_LAG = gauge("ollamamax_loop_lag_seconds")
_SUCCESS = gauge("ollamamax_loop_last_success_timestamp_seconds")
_INTERVAL = gauge("ollamamax_loop_interval_seconds")
_LEADER = gauge("ollamamax_leader")


def ran(loop: Loop, region: str, took: float, behind: float, problem: str) -> None:
    """One run of a loop. Seconds; ``problem`` is empty where it ended well."""
    of = loop.name, region or NONE
    _RUNS.labels(*of, "failed" if problem else "ok").inc()
    _DURATION.labels(loop.name).observe(took)
    _LAG.labels(*of).set(behind)
    _INTERVAL.labels(loop.name).set(loop.every)
    if not problem:
        _SUCCESS.labels(*of).set(time.time())


def lease_answered(lease: str, fence: int, took: float) -> None:
    """``fence`` is 0 where another process leads."""
    _LEADER.labels(lease).set(int(fence > 0))
    if lease.startswith("redis"):
        redis_round_trip.answered(took)


def lease_failed(lease: str) -> None:
    _LEADER.labels(lease).set(0)
    if lease.startswith("redis"):
        redis_round_trip.failed()

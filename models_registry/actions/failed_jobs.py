"""Tells each region's Redis which jobs failed lately, so that health is judged without Postgres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from models_registry.queries.job import failed_lately
from ollamamax.bus import keys, regions
from ollamamax.contract.health import encode_failed_jobs


def tell_failed_jobs(check: Callable[[], None] = lambda: None) -> int:
    """Returns how many there are. ``check`` raises when another process does this by now. Raises `RedisError`. Queries: 1."""
    found = failed_lately()
    told = {tenant: encode_failed_jobs(jobs) for tenant, jobs in found.items()}
    check()
    for region in regions.every():
        with region.client.pipeline() as pipe:
            pipe.delete(keys.FAILED_JOBS)
            if told:
                pipe.hset(keys.FAILED_JOBS, mapping=cast("Any", told))
            pipe.execute()
    return sum(len(jobs) for jobs in found.values())

"""Reads how much of their limits a tenant and its keys use at this moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from redis.exceptions import RedisError

from ollamamax.bus import keys, regions
from ollamamax.kernel.errors import Unavailable
from ollamamax.kernel.limits import Limits

Use = dict[str, float | None]
_RATES = (
    ("requests_per_minute", "requests"),
    ("tokens_per_minute", "tokens"),
    ("input_tokens_per_minute", "input-tokens"),
    ("output_tokens_per_minute", "output-tokens"),
)


def use_of(owners: Mapping[str, Limits]) -> dict[str, Use]:
    """Owner's id -> how much of each of its limits is used, in the limit's unit; ``None`` where there is no limit, and nothing is counted.

    Each region counts by itself: the value is of the region where most is used. Raises `Unavailable` when a region's Redis is away.
    """
    found: dict[str, Use] = {owner: dict.fromkeys((name for name, _ in _RATES), None) for owner in owners}
    for used in found.values():
        used["concurrent_requests"] = None
    for region in regions.every():
        try:
            told = _of_region(region.client, owners)
        except RedisError:
            raise Unavailable("How much of the limits is used cannot be read now: Redis does not answer.") from None
        for owner, used in told.items():
            for name, value in used.items():
                if value is not None:
                    found[owner][name] = max(value, found[owner][name] or 0.0)
    return found


def _of_region(client: Any, owners: Mapping[str, Limits]) -> dict[str, Use]:
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        for owner in owners:
            for _, what in _RATES:
                pipe.get(keys.rate(what, owner))
            pipe.scard(keys.active(owner))
        seconds, *values = cast("list[Any]", pipe.execute())
    at = seconds[0] + seconds[1] / 1e6
    found: dict[str, Use] = {}
    for number, (owner, limits) in enumerate(owners.items()):
        size = len(_RATES) + 1
        *arrivals, running = values[size * number : size * (number + 1)]
        found[owner] = {
            name: _taken(arrival, getattr(limits, name), at)
            for (name, _), arrival in zip(_RATES, arrivals, strict=True)
        } | {"concurrent_requests": None if limits.concurrent is None else float(running)}
    return found


def _taken(arrival: bytes | None, most: int | None, at: float) -> float | None:
    """What is taken of a minute's worth: ``arrival`` is when all of it will be there again (see ``rate_arrival`` in ``shared.lua``)."""
    if most is None:
        return None
    ahead = max(0.0, float(arrival) - at) if arrival is not None else 0.0
    return round(ahead * most / 60, 1)

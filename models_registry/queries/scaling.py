"""What autoscaling decides from, as it was measured, and what it decided last: kept in Redis, for the plan, the API and the next decision."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import cast

import msgspec
from redis.exceptions import RedisError

from cluster.autoscaling import warmth
from cluster.autoscaling.decision import (
    AHEAD_SECONDS,
    MeasuredLoad,
    ScalingDecision,
    ScalingObjective,
    ScalingRecommendation,
)
from cluster.autoscaling.forecast import DAY, DAYS, MINUTE, LoadStep, by_minute, forecast
from cluster.queries.history import CountedPast
from ollamamax import logs
from ollamamax.bus import keys, regions
from ollamamax.contract import decode_open
from ollamamax.contract.history import HOUR, CountedStep
from ollamamax.contract.measured import bucket, percentile
from ollamamax.kernel.errors import Unavailable

FRESH_SECONDS = 60.0
"""What was decided longer ago counts no more: who decides it is away."""
GROWTH_SECONDS = 5.0
"""How fast what waits grows is told by decisions that lie so far apart at least."""
KEPT_SECONDS = DAY
ENOUGH = 20
"""So many requests of the last hour tell how long one runs; else those of the days before count, too."""
KEPT_MINUTES = 10
"""Over so long it is told how many requests kept the objective."""
_log = logs.get(__name__)


class KnownScaling(msgspec.Struct, frozen=True):
    """Of one version, at ``at`` (Unix seconds). ``scaled``: whether it has an objective; without one it has a warmth alone. Of what was not measured the value is ``None``.

    ``wanted``: replicas, of which ``least`` are kept whatever else needs their room; ``reason``: why, in a sentence, or why nothing is decided. ``load``: requests at once; ``service``: mean seconds of one in its slot.
    """

    at: float
    scaled: bool
    wanted: int | None = None
    reason: str = ""
    needed: int | None = None
    load: float | None = None
    replicas: int = 0
    running: int = 0
    waiting: int = 0
    service: float | None = None
    tokens_per_second: float | None = None
    kept: float | None = None
    measured_at: float | None = None
    recent: tuple[ScalingRecommendation, ...] = ()
    warmth: float | None = None
    least: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(KnownScaling).decode


def known_scaling(tenant: uuid.UUID) -> dict[str, KnownScaling]:
    """By version, however old. Raises `Unavailable` when Redis is away."""
    try:
        found = cast("dict[bytes, bytes]", regions.own().client.hgetall(keys.scaling(tenant.hex)))
    except RedisError:
        raise Unavailable("What autoscaling decided cannot be read right now.") from None
    known = {}
    for digest, value in found.items():
        try:
            known[digest.decode()] = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            _log.warning("scaling_unread", version=digest)
    return known


def keep_scaling(tenant: uuid.UUID, decided: Mapping[str, KnownScaling]) -> None:
    """In the place of all that was decided before. Raises `RedisError`."""
    key = keys.scaling(tenant.hex)
    with regions.own().client.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        if decided:
            pipe.hset(key, mapping={digest: _encode(each) for digest, each in decided.items()})
            pipe.expire(key, KEPT_SECONDS)
        pipe.execute()


def hours_to_read(now: float, back: float) -> set[int]:
    """Hours since 1970 that a decision is made of: the last ``back`` seconds, and those of the days before around this time."""
    found = set(range(int(now - max(back, warmth.HOURS * HOUR)) // HOUR, int(now) // HOUR + 1))
    for day in range(1, DAYS + 1):
        then = now - day * DAY
        found |= set(range(int(then - 2 * warmth.STEP) // HOUR, int(then + warmth.AHEAD + 2 * warmth.STEP) // HOUR + 1))
    return found


def open_requests(tenant: uuid.UUID, versions: Collection[str], shared: Collection[str]) -> dict[str, tuple[int, int]]:
    """By version: how many requests run and wait now; of shared ones those of other tenants, too. What runs on idle slots alone, which other
    requests would be given, asks for no replica. Raises `Unavailable`."""
    found = dict.fromkeys(versions, (0, 0))
    try:
        values = cast("list[bytes]", regions.own().client.hvals(keys.OPEN))
    except RedisError:
        raise Unavailable("Requests under way cannot be read right now.") from None
    for each in map(decode_open, values):
        if each.version in found and not each.idle_only and (each.tenant == tenant.hex or each.version in shared):
            running, waiting = found[each.version]
            found[each.version] = (running + 1, waiting) if each.node else (running, waiting + 1)
    return found


def measured(
    steps: Sequence[CountedStep],
    past: CountedPast,
    objective: ScalingObjective,
    now: float,
    *,
    running: int,
    waiting: int,
    replicas: int,
    slots: float,
    before: KnownScaling | None,
) -> MeasuredLoad:
    """``steps``: of all names of the version together; ``before``: the decision before this one."""
    growth = 0.0
    # Over less it would be a matter of chance: where another process decides from now on, two decisions may follow each other at once.
    if before is not None and GROWTH_SECONDS <= now - before.at <= FRESH_SECONDS:
        growth = (running + waiting - before.running - before.waiting) / (now - before.at)
    since = max(past.known_since or 0, _without_seconds(steps))
    loads = by_minute(LoadStep(each.at, each.started, each.busy_ms / 1000) for each in steps)
    load = forecast(loads, int(now), ahead=int(AHEAD_SECONDS), known_since=since)
    recent = [each for each in steps if now - each.at <= HOUR]
    counted = recent if sum(each.started for each in recent) >= ENOUGH else steps
    started, busy = sum(each.started for each in counted), sum(each.busy_ms for each in counted) / 1000
    prefill = percentile(_summed(each.prefills for each in counted), objective.share)
    last = max((each.at for each in steps if each.at <= now), default=None)
    return MeasuredLoad(
        None if past.measured_at is None else float(past.measured_at),
        load,
        busy / started if started and busy else None,
        None if prefill is None else prefill / 1000,
        running,
        waiting,
        growth,
        math.inf if last is None else max(0.0, now - last),
        replicas,
        slots,
        sum(each.completion_tokens for each in counted) / busy if busy else None,
        _kept(objective, [each for each in steps if now - each.at <= KEPT_MINUTES * MINUTE]),
    )


def _without_seconds(steps: Iterable[CountedStep]) -> int:
    """Until when the release before counted, which did not note how long requests ran."""
    return max((each.at + MINUTE for each in steps if each.ok and not each.started), default=0)


def _kept(objective: ScalingObjective, steps: Sequence[CountedStep]) -> float | None:
    """The share of requests that kept the objective, of its stricter part; a bucket counts whole."""
    found = [
        _within(_summed(counts), most)
        for counts, most in (
            ((each.waits for each in steps), objective.wait),
            ((each.first_tokens for each in steps), objective.first_token),
        )
        if most is not None
    ]
    known = [each for each in found if each is not None]
    return min(known) if known else None


def _within(counts: Mapping[int, int], seconds: float) -> float | None:
    total = sum(counts.values())
    last = bucket(seconds * 1000)
    return sum(count for number, count in counts.items() if number <= last) / total if total else None


def _summed(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for each in counts:
        for number, count in each.items():
            found[number] = found.get(number, 0) + count
    return found


def warmth_of(steps: Iterable[CountedStep], past: CountedPast, now: float) -> float | None:
    """How many requests are expected in the next half hour; ``None`` where nothing was ever measured."""
    if past.known_since is None or past.measured_at is None:
        return None
    counts: dict[int, int] = {}
    for each in steps:
        at = each.at - each.at % warmth.STEP
        counts[at] = counts.get(at, 0) + each.ok + each.cancelled + sum(each.errors.values())
    return warmth.expected_requests(warmth.expected_rate(counts, now, float(past.known_since)))


def told(decision: ScalingDecision, found: MeasuredLoad, now: float, likely: float | None, least: int) -> KnownScaling:
    return KnownScaling(
        now,
        True,
        decision.wanted,
        decision.reason,
        decision.needed,
        decision.load,
        found.replicas,
        found.running,
        found.waiting,
        found.service,
        found.tokens_per_second,
        found.kept,
        found.at,
        decision.recent,
        likely,
        least,
    )


def is_fresh(known: KnownScaling, at: datetime.datetime) -> bool:
    return at.timestamp() - known.at <= FRESH_SECONDS

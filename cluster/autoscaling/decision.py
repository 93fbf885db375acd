"""The decision: how many replicas of one version are to be in memory now, with the reason in a sentence.

The load that is to be carried is the highest of what was measured and what is forecast. Erlang's formula says how many replicas keep the objective with it in
nearly every minute, not in the mean alone. A queue asks for more besides, for a short time. More replicas are wanted at once; fewer only when nothing asked for
more during the whole cool-down, of which what was loaded when nothing was remembered yet counts as having been asked for. Nothing here reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.autoscaling.forecast import Forecast
from cluster.autoscaling.queueing import replicas_for

OLD_SECONDS = 90.0
"""What was measured longer ago decides nothing."""
STRICTER = 5.0
"""Replicas are sized for a share of late requests so many times smaller than the objective allows: what is allowed in the mean of hours is exceeded in many a minute."""
CLEAR_SECONDS = 20.0
"""In so long what waits should be gone, or in the time that the objective lets it wait, if that is longer."""
GROWING_SECONDS = 45.0
"""For so long what waits is expected to grow as it does: a replica that is ordered now serves about then."""
BURST_SECONDS = 120.0
"""What a queue asked for stays for so long. Until then the load that was measured shows what is needed further."""
AHEAD_SECONDS = 300.0
"""What is forecast is looked ahead to for so long: a replica is read into memory in that time."""
SPARE = 1.15
"""Fewer replicas than there are must carry so many times the load: else its noise alone would have one come and go."""
LIKELY = 0.5
"""A replica comes from zero when so many requests are to be expected meanwhile."""
LEAST_WAIT = 0.05
"""Seconds that requests may wait where those to the first token leave no time for it: with none, no number of slots would do."""


@dataclass(frozen=True, slots=True)
class ScalingObjective:
    """Of ``share`` of the requests no longer than so many seconds. ``wait``: in the queue; ``first_token``: from receipt to the first token.
    ``zero_after``: without any request for so long, and none expected, there may be no replica; ``None``: one stays."""

    wait: float | None = None
    first_token: float | None = None
    share: float = 0.95
    cool_down: float = 600.0
    zero_after: float | None = 600.0
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """Of one version. ``at``: when it was measured last (Unix seconds), whether or not anything ran; ``None``: never.

    ``service``: mean seconds of a request in its slot; ``prefill``: from the beginning in a slot to the first token, of the share that the objective is of;
    both ``None`` where no request was measured. ``running`` and ``waiting``: requests now; ``growth``: by how many more in a second
    both together became since the decision before. ``idle``: seconds since the last request. ``replicas``: in memory;
    ``slots``: of a replica, in the mean of the nodes that have or may have one. ``tokens_per_second``: that one request gets, for people.
    """

    at: float | None
    load: Forecast
    service: float | None = None
    prefill: float | None = None
    running: int = 0
    waiting: int = 0
    growth: float = 0.0
    idle: float = math.inf
    replicas: int = 0
    slots: float = 0.0
    tokens_per_second: float | None = None
    kept: float | None = None
    """Share of the last minutes' requests that kept the objective."""


@dataclass(frozen=True, slots=True)
class ScalingRecommendation:
    """That so many replicas were asked for, before bounds, which counts until then (Unix seconds)."""

    until: float
    replicas: int


@dataclass(frozen=True, slots=True)
class ScalingDecision:
    """``wanted``: replicas in memory; ``None``: nothing is decided, for the reason that is told. ``recent``: to be remembered for the next decision."""

    wanted: int | None
    reason: str
    recent: tuple[ScalingRecommendation, ...] = ()
    needed: int | None = None
    """Before cool-down and bounds."""
    load: float | None = None
    """Erlangs that ``needed`` is for."""


@dataclass(slots=True)
class _Need:
    replicas: int
    load: float
    because: str
    notes: list[str] = field(default_factory=list)


def decide(
    objective: ScalingObjective, measured: MeasuredLoad, recent: Iterable[ScalingRecommendation] | None, now: float
) -> ScalingDecision:
    """``recent``: of the decision before; ``None`` where there was none."""
    kept = tuple(recent or ())
    if measured.at is None or now - measured.at > OLD_SECONDS:
        age = (
            "nothing was measured"
            if measured.at is None
            else f"the last measurement is {_seconds(now - measured.at)} old"
        )
        return ScalingDecision(None, f"no data: {age}", kept)
    if measured.slots <= 0:
        return ScalingDecision(None, "no data: no node that has or may have a replica says how many slots it has", kept)
    busy = measured.running + measured.waiting > 0 or measured.load.most > 0
    if measured.service is None and busy:
        return ScalingDecision(
            None, "no data: no request has ended yet, so that it is not known how long one runs", kept
        )
    need = _need(objective, measured)
    if not measured.running + measured.waiting:
        need = _at_rest(objective, measured, need)
    burst = _burst(objective, measured)
    asked = [ScalingRecommendation(now + objective.cool_down, need.replicas)]
    if burst is not None and burst.replicas > need.replicas:
        need = burst
        asked.append(ScalingRecommendation(now + BURST_SECONDS, burst.replicas))
    if recent is None:
        asked.append(ScalingRecommendation(now + objective.cool_down, measured.replicas))
    held = _remember((*kept, *asked), now)
    cooled = max(each.replicas for each in held)
    wanted = max(objective.least, cooled if objective.most is None else min(cooled, objective.most))
    return ScalingDecision(wanted, _reason(objective, measured, need, cooled, wanted), held, need.replicas, need.load)


def _need(objective: ScalingObjective, measured: MeasuredLoad) -> _Need:
    wait, late, load = allowed_wait(objective, measured), (1.0 - objective.share) / STRICTER, measured.load
    service = measured.service or 0.0
    causes = [
        (load.level, "for the load of the last minutes"),
        (load.trend, "for the load that the last minutes lead to"),
    ]
    if load.daily is not None:
        causes.append((load.daily, "for the load that days before had at this time"))
    counts = [replicas_for(cause, slots=measured.slots, service=service, wait=wait, late=late) for cause, _ in causes]
    most, needed = max(cause for cause, _ in causes), max(counts)
    # The first cause that needs as many by itself: a trend that rises by a hair is no reason.
    because = causes[counts.index(needed)][1]
    if needed < measured.replicas:
        spared = replicas_for(most * SPARE, slots=measured.slots, service=service, wait=wait, late=late)
        needed = min(measured.replicas, spared)
    if measured.running + measured.waiting and not needed:
        return _Need(1, most, "for the request that is there")
    return _Need(needed, most, because)


def _burst(objective: ScalingObjective, measured: MeasuredLoad) -> _Need | None:
    """What a queue asks for: that it is gone soon, with what it will have grown by until replicas that are ordered now serve."""
    if not measured.waiting:
        return None
    service, wait = measured.service or 0.0, allowed_wait(objective, measured)
    grows = max(0.0, measured.growth)
    # While all slots are taken, what comes is what runs and what the requests under way grow by.
    comes = measured.running + grows * service
    there = measured.waiting + grows * GROWING_SECONDS
    load = comes + there * service / max(CLEAR_SECONDS, wait)
    needed = replicas_for(load, slots=measured.slots, service=service, wait=wait, late=1.0 - objective.share)
    return _Need(max(1, needed), load, f"for {measured.waiting} that wait")


def allowed_wait(objective: ScalingObjective, measured: MeasuredLoad) -> float:
    """Seconds that a request may wait for a slot, by both parts of the objective."""
    found = math.inf if objective.wait is None else objective.wait
    if objective.first_token is not None:
        found = min(found, objective.first_token - (measured.prefill or 0.0))
    return max(LEAST_WAIT, found)


def _at_rest(objective: ScalingObjective, measured: MeasuredLoad, need: _Need) -> _Need:
    """Of a version that nothing runs of. What is left of a smoothed load alone asks for no replica."""
    daily = 0.0 if measured.load.daily is None else measured.load.daily - measured.load.level
    expected = 0.0 if not measured.service else daily * AHEAD_SECONDS / measured.service
    if objective.zero_after is None or expected >= LIKELY:
        because = "because one stays" if objective.zero_after is None else need.because
        return need if need.replicas else _Need(1, need.load, because)
    if measured.idle >= objective.zero_after:
        return _Need(0, 0.0, f"because nobody has asked for it for {_seconds(measured.idle)}")
    if need.replicas == 0:
        return _Need(min(1, measured.replicas), 0.0, f"because its last request was {_seconds(measured.idle)} ago")
    return need


def _remember(asked: tuple[ScalingRecommendation, ...], now: float) -> tuple[ScalingRecommendation, ...]:
    """What still counts, the longest first, without what one that counts longer hides."""
    found: list[ScalingRecommendation] = []
    for each in sorted(asked, key=lambda one: (-one.until, -one.replicas)):
        if each.until > now and (not found or each.replicas > found[-1].replicas):
            found.append(each)
    return tuple(found)


def _reason(objective: ScalingObjective, measured: MeasuredLoad, need: _Need, cooled: int, wanted: int) -> str:
    parts = [f"{_replicas(need.replicas)} {need.because}"]
    if need.load > 0:
        parts.append(f"{need.load:.1f} requests at once on {measured.slots:g} slots each")
    if objective.first_token is not None and (measured.prefill or 0.0) >= objective.first_token:
        parts.append(
            f"the first token takes {_seconds(measured.prefill or 0.0)} without any wait, so that more replicas cannot keep {_seconds(objective.first_token)}"
        )
    if cooled > need.replicas:
        parts.append(f"{cooled} stay during the cool-down of {_seconds(objective.cool_down)}")
    if wanted > cooled:
        parts.append(f"{wanted} is the least")
    elif wanted < cooled:
        parts.append(f"{wanted} is the most")
    return "; ".join(parts)


def _replicas(count: int) -> str:
    return "no replica" if count == 0 else "1 replica" if count == 1 else f"{count} replicas"


def _seconds(value: float) -> str:
    return "as long as is known" if math.isinf(value) else f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"

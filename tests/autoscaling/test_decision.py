"""How many replicas are wanted: properties of every load, and what the reasons say."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.autoscaling.decision import (
    BURST_SECONDS,
    CLEAR_SECONDS,
    OLD_SECONDS,
    MeasuredLoad,
    ScalingObjective,
    ScalingRecommendation,
    decide,
)
from cluster.autoscaling.forecast import DAY, MINUTE, Forecast, LoadStep, by_minute, forecast
from cluster.autoscaling.queueing import late_share, replicas_for, waiting_share

NOW = 1_800_000_000.0
loads = st.floats(0, 200, allow_nan=False)
services = st.floats(0.1, 100)
waits = st.floats(0.05, 30)


@st.composite
def objectives(draw: st.DrawFn) -> ScalingObjective:
    least = draw(st.integers(0, 5))
    return ScalingObjective(
        wait=draw(waits),
        first_token=draw(st.none() | waits),
        share=draw(st.sampled_from([0.5, 0.9, 0.95, 0.99])),
        cool_down=draw(st.sampled_from([60.0, 600.0])),
        zero_after=draw(st.none() | st.just(600.0)),
        least=least,
        most=draw(st.none() | st.integers(least, 10)),
    )


@st.composite
def measurements(draw: st.DrawFn) -> MeasuredLoad:
    return MeasuredLoad(
        NOW - draw(st.floats(0, OLD_SECONDS)),
        Forecast(draw(loads), draw(loads), draw(st.none() | loads)),
        service=draw(services),
        prefill=draw(st.none() | st.floats(0, 5)),
        running=draw(st.integers(0, 100)),
        waiting=draw(st.integers(0, 100)),
        idle=draw(st.sampled_from([0.0, 599.0, 601.0, math.inf])),
        replicas=draw(st.integers(0, 12)),
        slots=draw(st.floats(1, 16)),
    )


remembered = st.none() | st.lists(
    st.builds(ScalingRecommendation, st.floats(NOW - 1000, NOW + 1000), st.integers(0, 20)), max_size=4
).map(lambda found: sorted(found, key=lambda each: each.until))


@given(objectives(), measurements(), remembered)
def test_it_is_within_its_bounds_and_says_why(
    objective: ScalingObjective, measured: MeasuredLoad, recent: list[ScalingRecommendation] | None
) -> None:
    found = decide(objective, measured, recent, NOW)
    assert found.wanted is not None
    assert found.wanted >= objective.least
    assert objective.most is None or found.wanted <= objective.most
    assert found.reason
    assert "\n" not in found.reason
    # And again at once it is the same.
    assert decide(objective, measured, found.recent, NOW).wanted == found.wanted


@given(objectives(), measurements(), remembered, loads, st.integers(0, 50))
def test_more_demand_never_wants_fewer(
    objective: ScalingObjective,
    measured: MeasuredLoad,
    recent: list[ScalingRecommendation] | None,
    more: float,
    queue: int,
) -> None:
    load = measured.load
    higher = dataclasses.replace(
        measured,
        load=Forecast(load.level + more, load.trend + more, None if load.daily is None else load.daily + more),
        waiting=measured.waiting + queue,
    )
    less, most = (decide(objective, each, recent, NOW).wanted for each in (measured, higher))
    assert less is not None
    assert most is not None
    assert most >= less


@given(loads, st.floats(1, 16), services, waits, st.sampled_from([0.01, 0.05, 0.5]))
def test_so_many_replicas_keep_the_objective_and_one_fewer_does_not(
    load: float, slots: float, service: float, wait: float, late: float
) -> None:
    found = replicas_for(load, slots=slots, service=service, wait=wait, late=late)
    if load == 0:
        assert found == 0
        return
    assert late_share(load, int(found * slots), service, wait) <= late
    fewer = int((found - 1) * slots)
    assert fewer < load or late_share(load, fewer, service, wait) > late


def test_the_share_that_waits_is_that_of_erlangs_tables() -> None:
    assert waiting_share(1.0, 2) == pytest.approx(1 / 3)
    assert waiting_share(2.0, 3) == pytest.approx(4 / 9)
    assert waiting_share(8.0, 10) == pytest.approx(0.409, abs=0.001)
    assert waiting_share(3.0, 3) == 1.0


@given(objectives(), measurements(), remembered)
def test_old_or_missing_data_decides_nothing_and_keeps_what_is_remembered(
    objective: ScalingObjective, measured: MeasuredLoad, recent: list[ScalingRecommendation] | None
) -> None:
    for lacking in (
        dataclasses.replace(measured, at=None),
        dataclasses.replace(measured, at=NOW - OLD_SECONDS - 1),
        dataclasses.replace(measured, slots=0.0),
        dataclasses.replace(measured, service=None, running=1),
    ):
        found = decide(objective, lacking, recent, NOW)
        assert found.wanted is None
        assert found.reason.startswith("no data: ")
        assert found.recent == tuple(recent or ())


def scaled_for_hours(load: float, noise: float, cool_down: float, rng: random.Random) -> list[tuple[int, int]]:
    """When the number changed, and by how much, in five hours from the second on; ``noise``: deviation of the load of a minute."""
    objective, begin = ScalingObjective(wait=2.0, cool_down=cool_down), int(NOW) // MINUTE * MINUTE
    known = by_minute(LoadStep(begin + at * MINUTE, 1, MINUTE * rng.gauss(load, noise)) for at in range(360))
    replicas, recent, changes = 0, None, []
    for second in range(1800, 360 * MINUTE, 60):
        now = begin + second
        soon = forecast(known, now, ahead=300, known_since=begin)
        measured = MeasuredLoad(float(now), soon, 8.0, running=1, idle=0.0, replicas=replicas, slots=4.0)
        found = decide(objective, measured, recent, float(now))
        recent = found.recent
        assert found.wanted is not None
        if found.wanted != replicas and second > 3600:
            changes.append((second, found.wanted - replicas))
        replicas = found.wanted
    return changes


@given(st.floats(0.5, 40))
def test_a_constant_load_changes_nothing(load: float) -> None:
    assert scaled_for_hours(load, 0.0, 60.0, random.Random(1)) == []


@given(st.integers(0, 1000), st.floats(0.5, 40), st.sampled_from([300.0, 900.0]))
def test_what_noise_brought_stays_through_the_cool_down(seed: int, load: float, cool_down: float) -> None:
    """Requests of eight seconds that come by chance: in the mean as many as make up the load."""
    changes = scaled_for_hours(load, math.sqrt(load * 8 / MINUTE), cool_down, random.Random(seed))
    for (before, up), (after, down) in itertools.pairwise(changes):
        assert not (up > 0 > down) or after - before >= cool_down


def test_replicas_come_at_once_and_leave_after_the_cool_down_one_stays_until_it_is_idle_for_long() -> None:
    objective = ScalingObjective(wait=1.0, cool_down=300.0, zero_after=900.0)
    busy = MeasuredLoad(NOW, Forecast(10.0, 10.0, None), 5.0, running=10, idle=0.0, replicas=1, slots=4.0)
    first = decide(objective, busy, (), NOW)
    assert first.wanted == 5
    assert first.reason == "5 replicas for the load of the last minutes; 10.0 requests at once on 4 slots each"
    over = dataclasses.replace(busy, load=Forecast(0.0, 0.0, None), running=0, idle=200.0, replicas=5)
    soon = decide(objective, dataclasses.replace(over, at=NOW + 200), first.recent, NOW + 200)
    assert (soon.wanted, soon.needed) == (5, 1)
    assert soon.reason.endswith("5 stay during the cool-down of 300 s")
    later = decide(objective, dataclasses.replace(over, at=NOW + 301, idle=301.0), soon.recent, NOW + 301)
    assert (later.wanted, later.reason) == (1, "1 replica because its last request was 301 s ago")
    gone = decide(objective, dataclasses.replace(over, at=NOW + 1300, idle=1300.0), later.recent, NOW + 1300)
    assert (gone.wanted, gone.reason) == (0, "no replica because nobody has asked for it for 1300 s")
    back = decide(objective, dataclasses.replace(over, at=NOW + 1400, waiting=1, replicas=0), gone.recent, NOW + 1400)
    assert back.wanted == 1
    kept = decide(
        dataclasses.replace(objective, zero_after=None),
        dataclasses.replace(over, at=NOW + 1300),
        gone.recent,
        NOW + 1300,
    )
    assert kept.wanted == 1


def test_a_queue_asks_for_replicas_that_clear_it_which_leave_long_before_the_cool_down() -> None:
    objective = ScalingObjective(wait=1.0, cool_down=600.0)
    calm = MeasuredLoad(NOW, Forecast(2.0, 2.0, None), 8.0, running=2, idle=0.0, replicas=2, slots=4.0)
    before = decide(objective, calm, (), NOW)
    # Forty wait, and two more each second: by the load alone two replicas would do.
    queue = dataclasses.replace(calm, at=NOW + 15, running=8, waiting=40, growth=2.0)
    burst = decide(objective, queue, before.recent, NOW + 15)
    assert burst.wanted is not None
    assert burst.wanted * 4 > 8 + 2.0 * 8 + 40 * 8 / CLEAR_SECONDS
    assert burst.reason.startswith(f"{burst.wanted} replicas for 40 that wait")
    growing_less = decide(objective, dataclasses.replace(queue, growth=0.0), before.recent, NOW + 15)
    assert growing_less.wanted is not None
    assert growing_less.wanted < burst.wanted
    later = NOW + 15 + BURST_SECONDS + 1
    over = decide(objective, dataclasses.replace(calm, at=later, replicas=burst.wanted), burst.recent, later)
    assert over.wanted == before.wanted


def test_without_a_memory_what_is_loaded_stays_for_the_cool_down() -> None:
    objective = ScalingObjective(wait=1.0, cool_down=300.0)
    idle = MeasuredLoad(NOW, Forecast(0.0, 0.0, None), replicas=5, slots=4.0)
    first = decide(objective, idle, None, NOW)
    assert first.wanted == 5
    assert decide(objective, dataclasses.replace(idle, at=NOW + 301), first.recent, NOW + 301).wanted == 0


def test_a_first_token_that_takes_too_long_by_itself_is_told() -> None:
    objective = ScalingObjective(first_token=1.0)
    slow = MeasuredLoad(NOW, Forecast(2.0, 2.0, None), 5.0, prefill=3.0, running=2, idle=0.0, replicas=1, slots=4.0)
    assert (
        "the first token takes 3 s without any wait, so that more replicas cannot keep 1 s"
        in decide(objective, slow, (), NOW).reason
    )


def test_the_morning_is_expected_from_the_days_before_and_from_two_at_least() -> None:
    morning = int(NOW) // DAY * DAY
    loads_by_minute = {morning - day * DAY + minute * MINUTE: 12.0 for day in range(1, 8) for minute in range(120)}
    now = morning - 5 * MINUTE
    found = forecast(loads_by_minute, now, ahead=600, known_since=morning - 9 * DAY)
    assert found.level == 0.0
    assert found.daily is not None
    assert found.daily > 6.0
    assert forecast(loads_by_minute, now, ahead=600, known_since=morning - 2 * DAY).daily is None
    assert forecast({}, now, ahead=600, known_since=morning - 9 * DAY) == Forecast(0.0, 0.0, 0.0)


def test_a_rise_goes_on_and_a_calm_load_stays_where_it_is() -> None:
    begin = int(NOW) // MINUTE * MINUTE
    rise = {begin + minute * MINUTE: float(minute) for minute in range(30)}
    found = forecast(rise, begin + 30 * MINUTE, ahead=300, known_since=begin)
    assert found.trend > found.level > 20.0
    calm = forecast(dict.fromkeys(rise, 5.0), begin + 30 * MINUTE, ahead=300, known_since=begin)
    assert calm.level == calm.trend == pytest.approx(5.0)

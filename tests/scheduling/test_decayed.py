"""Means whose measurements fade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.decayed import HALF_LIFE, Decayed


def test_nothing_measured_is_unknown() -> None:
    assert Decayed().value(0.0) is None


@given(st.lists(st.tuples(st.floats(0.1, 1e6), st.floats(0, 1000)), min_size=1, max_size=30))
def test_a_mean_lies_between_the_least_and_the_most(measures: list[tuple[float, float]]) -> None:
    mean, now = Decayed(), 0.0
    for value, pause in measures:
        now += pause
        mean.add(value, now=now)
    found, values = mean.value(now), [value for value, _ in measures]
    assert found is not None
    assert min(values) * 0.999 <= found <= max(values) * 1.001


def test_what_came_later_counts_more() -> None:
    mean = Decayed()
    mean.add(100.0, now=0.0)
    mean.add(200.0, now=HALF_LIFE)
    assert mean.value(HALF_LIFE) == pytest.approx(500 / 3)


def test_a_rate_weighs_long_measurements_more() -> None:
    rate = Decayed()
    rate.add(10, 1.0, now=0.0)
    rate.add(900, 9.0, now=0.0)
    assert rate.value(0.0) == pytest.approx(91.0)


def test_it_is_forgotten_in_the_end_and_known_again() -> None:
    mean = Decayed()
    mean.add(100.0, now=0.0)
    assert mean.value(4 * HALF_LIFE) == 100.0
    assert mean.value(5 * HALF_LIFE) is None
    mean.add(50.0, now=6 * HALF_LIFE)
    assert mean.value(6 * HALF_LIFE) is not None

"""Trends of measured values: the same slopes as scipy's, steps that are none, and when a limit is reached."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import theilslopes

from cluster.prediction.trend import CONFIDENCE, seconds_to, slopes, trend, without_steps

TIMES = np.arange(-1740.0, 60.0, 60.0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=36, unique=True))
def test_slope_and_interval_are_those_of_scipy(values: list[float]) -> None:
    x, y = np.arange(float(len(values))) * 60, np.array(values)
    wanted = theilslopes(y, x, CONFIDENCE)
    assert slopes(x, y) == pytest.approx((wanted[0], wanted[2], wanted[3]))


def test_a_value_that_grows_reaches_its_limit_when_the_line_does_and_surely_a_little_later() -> None:
    noise = np.random.default_rng(1).normal(0, 0.002, len(TIMES))
    found = trend(TIMES, 0.7 + 0.1 * TIMES / 3600 + noise, step=0.02)
    minutes = [each / 60 for each in seconds_to(found, 1.0) or ()]
    assert minutes[0] == pytest.approx(180, rel=0.1)
    assert minutes[0] < minutes[1] < 260
    assert seconds_to(found, 0.0, rises=False) is None, "it goes the other way"


def test_a_step_is_no_trend_and_many_steps_are_one() -> None:
    noise = np.random.default_rng(2).normal(0, 0.001, len(TIMES))
    once = 0.4 + 0.2 * (TIMES > -900) + noise
    assert seconds_to(trend(TIMES, once, step=0.01), 1.0) is None
    assert seconds_to(trend(TIMES, once, step=None), 1.0) is not None, "which it would be taken for"
    many = 0.4 + 0.05 * ((TIMES + 1740) // 300) + noise
    assert seconds_to(trend(TIMES, many, step=0.01), 1.0) is not None


def test_where_steps_were_taken_out_the_newest_value_is_as_it_was_measured() -> None:
    values = 0.4 + 0.2 * (TIMES > -900) + 1e-4 * TIMES / 60
    assert without_steps(values, 0.01)[-1] == values[-1]

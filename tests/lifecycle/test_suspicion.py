"""Suspicion follows how a node reports: rarely wrong of one that is there, soon of one that is not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.suspicion import Pauses

LEAST, MOST = 2.0, 4.0
PAUSE = st.floats(0, 1e6) | st.sampled_from([float("nan"), float("inf"), -1.0])


@given(st.lists(PAUSE, max_size=50), st.integers(0, 10**6))
def test_whatever_a_node_does_its_silence_is_allowed_between_the_bounds(pauses: list[float], nodes: int) -> None:
    known = Pauses()
    for pause in pauses:
        known.add(pause, MOST)
    assert LEAST <= known.allowed(nodes, LEAST, MOST) <= MOST


@given(st.lists(st.floats(0.5, 3.0), max_size=30), st.floats(0, 10), st.floats(0, 10), st.integers(1, 10_000))
def test_suspicion_grows_with_the_silence_and_patience_with_the_fleet(
    pauses: list[float], one: float, other: float, nodes: int
) -> None:
    known = Pauses()
    for pause in pauses:
        known.add(pause, MOST)
    assert known.phi(min(one, other)) <= known.phi(max(one, other))
    assert known.allowed(nodes, 0.0, 60.0) <= known.allowed(nodes * 10, 0.0, 60.0)


@pytest.mark.parametrize(("deviation", "most_wait"), [(0.02, 2.5), (0.3, 4.0)])
def test_a_day_of_usual_pauses_of_a_hundred_nodes_makes_few_suspicions_and_death_is_seen_in_seconds(
    deviation: float, most_wait: float
) -> None:
    rng = random.Random(7)
    known, wrong = Pauses(), 0
    for _ in range(50_000):
        pause = max(0.0, rng.gauss(1.0, deviation))
        wrong += pause > known.allowed(100, LEAST, MOST)
        known.add(pause, MOST)
    assert wrong == 0
    assert known.allowed(100, LEAST, MOST) <= most_wait


def test_a_node_that_reports_unsteadily_is_given_more_time_and_less_again_when_it_is_steady() -> None:
    known = Pauses()
    for _ in range(100):
        known.add(1.0, MOST)
    steady = known.allowed(10, LEAST, MOST)
    for pause in [1.0, 2.5] * 10:
        known.add(pause, MOST)
    unsteady = known.allowed(10, LEAST, MOST)
    for _ in range(100):
        known.add(1.0, MOST)
    assert steady < unsteady
    assert known.allowed(10, LEAST, MOST) == pytest.approx(steady, abs=0.1)

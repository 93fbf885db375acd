"""The corpus and its scores: the same for the same seed, and what thresholds were chosen by is what the product decides by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import prediction
from benchmarks.node_corpus import STEPS, day
from benchmarks.prediction import Episode, FollowedDay, Row, episodes, score
from cluster.prediction.outlook import NodeOutlook
from cluster.prediction.thresholds import THRESHOLDS, Thresholds
from cluster.prediction.warning import Key, Watched, decide

KEY: Key = ("disk_full", "")
LIMIT = Thresholds(30.0, 0.1, 0.5, 2, 5)


def test_a_seed_gives_the_same_day_and_another_one_another() -> None:
    first, again, other = day(7), day(7), day(8)
    assert first.faults == again.faults
    assert np.array_equal(first.nodes[0].memory, again.nodes[0].memory)
    assert not np.array_equal(first.nodes[0].memory, other.nodes[0].memory)


steps = st.lists(
    st.tuples(st.sampled_from([None, 5.0, 29.0, 50.0, 70.0]), st.sampled_from([0.05, 0.2]), st.booleans()), max_size=60
)


@settings(max_examples=100, deadline=None)
@given(steps, st.integers(1, 3), st.integers(1, 6))
def test_what_thresholds_were_chosen_by_is_what_the_product_decides_by(
    seen: list[tuple[float | None, float, bool]], hold: int, clear: int
) -> None:
    limit = replace(LIMIT, hold=hold, clear=clear)
    watched: dict[Key, Watched] = {}
    rows, unmeasured, stood, wanted = [], set(), None, []
    for step, (latest, size, measured) in enumerate(seen):
        found = []
        if latest is not None:
            rows.append(Row(step, latest, size, 1.0))
            found = [NodeOutlook(*KEY, latest, latest, size, 1.0)]
        elif not measured:
            unmeasured.add(step)
        decide(watched, found, 60.0 * step, {"disk_full": limit}, [KEY] if step in unmeasured else [])
        stands = KEY in watched and watched[KEY].given_at is not None
        if stands and stood is None:
            stood = step
        elif not stands and stood is not None:
            wanted.append((stood, step))
            stood = None
    given = [(each.given, each.ended) for each in episodes(rows, limit, unmeasured)]
    assert [each for each in given if each[1] < len(seen)] == wanted


@pytest.mark.parametrize(
    ("fault", "given", "right", "wrong", "undecided", "leads"),
    [
        ((10, 50), [(20, 55)], 1, 0, 0, [1800.0]),
        ((10, 50), [(20, 30), (40, 55)], 1, 1, 0, [600.0]),
        ((10, 50), [(50, 55)], 0, 1, 0, []),
        ((10, None), [(20, 55)], 0, 0, 1, []),
        ((10, None), [(5, 8)], 0, 1, 0, []),
        (None, [(5, 8)], 0, 1, 0, []),
    ],
    ids=["in time", "withdrawn first", "too late", "not over", "before it began", "no fault"],
)
def test_a_warning_is_right_when_the_fault_comes_while_it_stands(
    fault: tuple[int, int | None] | None,
    given: list[tuple[int, int]],
    right: int,
    wrong: int,
    undecided: int,
    leads: list[float],
) -> None:
    faults = [] if fault is None else [(0, "disk_full", "", *fault)]
    made = FollowedDay(1, faults, warnings={"disk_full": {(0, ""): [Episode(*each, within=60.0) for each in given]}})
    found = score([made], "disk_full", lambda each: each.warnings["disk_full"])
    assert (found.right, found.wrong, found.undecided, found.leads) == (right, wrong, undecided, leads)


def test_seeds_that_settings_were_chosen_on_and_those_that_are_reported_are_apart() -> None:
    assert set(prediction.TRAINING).isdisjoint(prediction.HELD_OUT)
    assert set(prediction.BASELINE) == set(THRESHOLDS) == set(prediction.LEVELS)
    assert STEPS == 1440

"""Properties of what is kept of the past: it survives packing, and folding keeps every request and every mean."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from ollamamax.contract.history import CountedStep, Entry, Gauges, encode_entry, fold, pack, tenths, unpack
from ollamamax.contract.measured import MOST_CODES, Ended, bucket, percentile, upper

QUICK = settings(max_examples=60, deadline=None)
_at = st.integers(0, 400).map(lambda step: 1_700_000_000 + step * 10)
_value = st.none() | st.integers(0, 10_000)
_gauges = st.builds(
    Gauges,
    _at,
    st.lists(_value, min_size=3, max_size=3),
    st.lists(st.lists(_value, min_size=4, max_size=4), max_size=2),
)
_count = st.integers(0, 1000)
_counted = st.builds(
    CountedStep,
    _at,
    _count,
    _count,
    _count,
    st.dictionaries(st.sampled_from(["a", "b"]), _count),
    _count,
    _count,
    st.dictionaries(st.integers(0, 100), st.integers(1, 50)),
    _count,
    _count,
    *[st.dictionaries(st.integers(0, 100), st.integers(1, 50))] * 2,
)
_entries: st.SearchStrategy[list[Entry]] = st.lists(st.one_of(_gauges, _counted), max_size=40)


@QUICK
@given(_entries, st.integers(0, 200))
def test_what_is_packed_is_what_is_unpacked_and_a_part_of_it_is_a_beginning(entries: list[Entry], cut: int) -> None:
    assert unpack(pack(entries)) == entries
    appended = b"".join(map(encode_entry, entries))
    assert unpack(appended) == entries
    part = unpack(appended[: max(0, len(appended) - cut)])
    assert part == entries[: len(part)]


@QUICK
@given(_entries)
def test_folding_in_two_steps_is_folding_in_one_and_loses_no_request(entries: list[Entry]) -> None:
    once = [each for each in fold(entries, 3600) if isinstance(each, CountedStep)]
    twice = [each for each in fold(fold(entries, 60), 3600) if isinstance(each, CountedStep)]
    assert once == twice
    assert sum(each.ok for each in once) == sum(each.ok for each in entries if isinstance(each, CountedStep))
    means = [(each.weight, each.at) for each in fold(entries, 3600) if isinstance(each, Gauges)]
    assert means == [(each.weight, each.at) for each in fold(fold(entries, 60), 3600) if isinstance(each, Gauges)]


@QUICK
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_a_mean_lies_between_the_least_and_the_most(values: list[int]) -> None:
    folded = fold([Gauges(i * 10, [value, None]) for i, value in enumerate(values)], 3600)
    (mean,) = [each for each in folded if isinstance(each, Gauges)]
    assert mean.weight == len(values)
    assert mean.values[0] is not None
    assert min(values) - 1 <= mean.values[0] <= max(values) + 1
    assert mean.values[1] is None


@QUICK
@given(st.lists(st.floats(0.5, 1e7), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_percentile_of_merged_counts_is_that_of_all_requests(times: list[float], share: float) -> None:
    counts: dict[int, int] = {}
    for each in times:
        counts[bucket(each)] = counts.get(bucket(each), 0) + 1
    found = percentile(counts, share)
    true = sorted(times)[max(0, math.ceil(share * len(times)) - 1)]
    assert found is not None
    assert found <= true * 1.2 + 1
    assert found >= true / 1.2 - 1


@QUICK
@given(st.floats(allow_nan=True, allow_infinity=True))
def test_what_is_no_number_is_no_measurement(value: float) -> None:
    assert 0 <= bucket(value) <= 100
    kept = tenths(value, -50.0, 250.0)
    assert (kept is not None) == (-50.0 <= value <= 250.0)
    assert kept is None or abs(kept / 10 - value) <= 0.051
    assert upper(bucket(2.0)) >= 2.0


def test_errors_of_endless_kinds_are_one_kind() -> None:
    ended = Ended("t", "m", "n")
    for number in range(500):
        ended.add(Ended("t", "m", "n", errors={f"code-{number}": 1}))
        ended.add(Ended("t", "m", "n", errors={"often": 1}))
    assert ended.failed == 1000
    assert len(ended.errors) == MOST_CODES
    assert ended.errors["often"] == 500, "what a liar invents does not push out what is true"

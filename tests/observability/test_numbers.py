"""Our own counters and histograms, beside those of prometheus_client: what is exposed is the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from ollamamax.observability.numbers import CounterOfCalls, HistogramOfCalls

BOUNDS = (0.005, 0.1, 1.0, 2.5, 60.0)
amounts = st.one_of(st.sampled_from(BOUNDS), st.floats(min_value=0.0, max_value=100.0))
label = st.sampled_from(["a", "b", 'q"\n\\', "ä"])


def _exposed(registry: CollectorRegistry) -> set[str]:
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if "_created" not in line}


@given(st.lists(st.tuples(label, amounts)))
def test_what_was_counted_and_observed_is_exposed_as_the_library_does_it(seen: list[tuple[str, float]]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    counted = Counter("asked_total", "Help.", ["who"], registry=theirs)
    took = Histogram("took_seconds", "More help.", ["who"], buckets=BOUNDS, registry=theirs)
    alone = Histogram("all_seconds", "Help.", buckets=BOUNDS, registry=theirs)
    our_counted, our_took, our_alone = (
        CounterOfCalls("asked_total", "Help.", ["who"]),
        HistogramOfCalls("took_seconds", "More help.", ["who"], BOUNDS),
        HistogramOfCalls("all_seconds", "Help.", [], BOUNDS),
    )
    for each in (our_counted, our_took, our_alone):
        ours.register(each)
    for who, amount in seen:
        counted.labels(who).inc(amount)
        our_counted.labels(who).inc(amount)
        took.labels(who).observe(amount)
        our_took.labels(who).observe(amount)
        alone.observe(amount)
        our_alone.observe(amount)
    assert _exposed(ours) == _exposed(theirs)


def test_a_metric_is_counted_by_all_of_its_labels() -> None:
    counted = CounterOfCalls("asked_total", "Help.", ["who", "what"])
    with pytest.raises(ValueError, match="who, what"):
        counted.labels("a")
    with pytest.raises(ValueError, match="has labels"):
        counted.inc()

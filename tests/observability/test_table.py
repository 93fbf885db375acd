"""The table of metrics follows Prometheus' conventions, its page is current, and nothing is counted that it does not have."""

from __future__ import annotations

import re

import pytest

from ollamamax.observability import instruments, reference
from ollamamax.observability.table import GENAI, LABELS, METRICS
from tests.architecture.code import ROOT

UNITS = ("_seconds", "_bytes", "_ratio", "_celsius", "_watts", "_seconds_total", "_info")


def test_names_follow_the_conventions() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"ollamamax_[a-z0-9]+(_[a-z0-9]+)*", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert (metric.kind == "histogram") == bool(metric.buckets), metric.name
        assert metric.kind != "histogram" or metric.name.endswith(UNITS), metric.name
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric.name
        assert metric.help.endswith("."), metric.name
        assert not re.search(r"_(ms|milliseconds|percent|kb|mb|gb)(_|$)", metric.name), metric.name


def test_every_label_is_explained_and_says_how_many_values_it_has() -> None:
    used = {label for metric in METRICS for label in metric.labels}
    assert used == LABELS.keys()
    for name, label in LABELS.items():
        assert bool(label.values) != bool(label.most), name
        assert label.help.endswith("."), name


def test_the_page_says_what_the_table_says() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert page == reference.reference(reference.figures_of(page)), (
        "run: python -m ollamamax.observability.reference > docs/metrics.md"
    )
    for metric in METRICS:
        assert f"| `{metric.name}` |" in page
    for theirs, _ in GENAI.values():
        assert theirs in page


@pytest.mark.parametrize("make", [instruments.counter, instruments.gauge, instruments.histogram])
def test_what_is_not_in_the_table_cannot_be_counted(make: object) -> None:
    assert callable(make)
    with pytest.raises(instruments.Undeclared):
        make("ollamamax_invented_total")

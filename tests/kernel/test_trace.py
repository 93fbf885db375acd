"""`traceparent` is read and continued as W3C Trace Context says."""

from __future__ import annotations

import re

import pytest

from ollamamax.kernel import trace

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]")


@pytest.mark.parametrize(
    ("flags", "ours"), [("00", "00"), ("01", "01"), ("03", "01"), ("02", "00"), ("ff", "01"), ("fe", "00")]
)
def test_a_child_is_in_the_trace_of_its_parent_with_its_sampling(flags: str, ours: str) -> None:
    made = trace.child(f"00-{TRACE}-{SPAN}-{flags}")
    assert FORM.fullmatch(made)
    assert (trace.trace_id(made), made[-2:]) == (TRACE, ours)
    assert made.split("-")[2] != SPAN


def test_a_later_version_may_say_more() -> None:
    assert trace.trace_id(trace.child(f"01-{TRACE}-{SPAN}-01-more")) == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        None, "", "x", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}", f" 00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n",
    ],
)  # fmt: skip
def test_what_is_no_parent_begins_a_sampled_trace(parent: str | None) -> None:
    made = trace.child(parent)
    assert FORM.fullmatch(made)
    assert made[-2:] == "01"
    assert trace.trace_id(made) not in {TRACE, "0" * 32}
    assert trace.trace_id(trace.child(parent)) != trace.trace_id(made)


def test_a_span_below_ours_is_another_one_of_the_same_trace() -> None:
    ours = trace.child(f"00-{TRACE}-{SPAN}-00")
    made = trace.below(ours)
    assert FORM.fullmatch(made)
    assert (trace.trace_id(made), made[-2:]) == (TRACE, "00")
    assert made.split("-")[2] != ours.split("-")[2]

"""The states of a node: every step is one that is allowed, and people's orders and a node's silence lead where they should."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from cluster.lifecycle.machine import STEPS, Hearing, Lifecycle, NodeFacts, following, wanted

KNOWN = st.builds(
    NodeFacts, st.booleans(), st.booleans(), st.sampled_from(get_args(Hearing)), st.sampled_from([False] * 9 + [True])
)


@given(st.lists(KNOWN, max_size=40))
def test_every_step_is_an_allowed_one_and_a_retired_node_stays_retired(story: list[NodeFacts]) -> None:
    state: Lifecycle = "joining"
    for known in story:
        after = following(state, known)
        assert after == state or after in STEPS[state]
        assert following(after, known) == after or known.hearing == "lost", "the same knowledge changes nothing again"
        state = after
    if any(known.retired for known in story):
        assert state == "retired"


@given(st.sampled_from([each for each in get_args(Lifecycle) if each != "retired"]), KNOWN)
def test_a_node_that_is_heard_is_in_the_state_that_was_ordered(state: Lifecycle, known: NodeFacts) -> None:
    known = known._replace(hearing="heard", retired=False)
    assert following(state, known) == wanted(known)


@given(st.sampled_from(["ready", "cordoned", "draining", "unreachable"]), KNOWN)
def test_silence_leads_to_lost_by_way_of_unreachable_and_nothing_else_does(state: Lifecycle, known: NodeFacts) -> None:
    known = known._replace(retired=False)
    after = following(state, known)
    assert (after == "lost") == (state == "unreachable" and known.hearing == "lost")
    silent = known._replace(hearing="lost")
    assert following(following(state, silent), silent) == "lost"


@given(KNOWN)
def test_a_node_that_never_reported_is_joining(known: NodeFacts) -> None:
    after = following("joining", known._replace(retired=False))
    assert (after == "joining") == (known.hearing != "heard")

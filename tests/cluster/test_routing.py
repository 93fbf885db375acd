"""The ranking of nodes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.routing import Candidate, rank

candidates = st.lists(
    st.builds(
        Candidate,
        node=st.text("abcdef0123456789", min_size=4, max_size=8),
        residence=st.sampled_from(["present", "ready", "loading", "loaded"]),
        capacity=st.integers(0, 16),
        in_flight=st.integers(0, 40),
    ),
    max_size=8,
    unique_by=lambda candidate: candidate.node,
)


def order(*given: Candidate) -> list[str]:
    return [each.candidate.node for each in rank(given)]


def test_a_node_that_has_the_model_in_memory_comes_first() -> None:
    assert order(Candidate("a", "ready", 4, 0), Candidate("b", "loaded", 4, 3)) == ["b", "a"]


def test_among_equals_the_freer_node_comes_first() -> None:
    assert order(Candidate("a", "loaded", 4, 2), Candidate("b", "loaded", 8, 2)) == ["b", "a"]


def test_a_full_node_comes_after_one_that_would_have_to_load() -> None:
    assert order(Candidate("a", "loaded", 4, 4), Candidate("b", "ready", 4, 0)) == ["b", "a"]


def test_a_tie_is_broken_the_same_way_each_time() -> None:
    assert order(Candidate("b", "loaded", 4, 0), Candidate("a", "loaded", 4, 0)) == ["a", "b"]


@given(candidates)
def test_the_order_does_not_depend_on_the_order_of_the_input(given: list[Candidate]) -> None:
    assert rank(given) == rank(list(reversed(given)))


@given(candidates)
def test_no_full_node_stands_before_one_with_a_free_slot(given: list[Candidate]) -> None:
    free = [each.room > 0 for each in rank(given, most=99)]
    assert free == sorted(free, reverse=True)


@given(candidates)
def test_each_usable_node_stands_once(given: list[Candidate]) -> None:
    ranked = [each.candidate for each in rank(given, most=99)]
    assert sorted(ranked, key=lambda c: c.node) == sorted((c for c in given if c.capacity), key=lambda c: c.node)

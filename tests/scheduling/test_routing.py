"""What every ranking has in common, whatever the strategy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.eligibility import against
from cluster.scheduling.routing import MOST, rank
from tests.scheduling.nodes import TENANT, candidates, first, node, order, wanted, wishes

shares = st.dictionaries(st.text("abcdef0123456789", min_size=4, max_size=8), st.floats(0.0, 1.0), max_size=4)


@given(wishes, candidates, shares, st.integers(0, 50))
def test_the_order_does_not_depend_on_the_order_of_the_input(
    wish: Wanted, given: list[Candidate], warm: dict[str, float], turn: int
) -> None:
    assert rank(wish, given, warm=warm, turn=turn) == rank(wish, list(reversed(given)), warm=warm, turn=turn)


@given(wishes, candidates)
def test_each_node_that_may_run_it_stands_once_but_for_some_that_would_have_to_load(
    wish: Wanted, given: list[Candidate]
) -> None:
    ranked = [each.node for each in rank(wish, given, most=99)]
    may = {each.node: each for each in given if not against(wish, each)}
    assert len(ranked) == len(set(ranked))
    assert set(ranked) <= set(may)
    assert bool(ranked) == bool(may)
    for name in set(may) - set(ranked):
        assert may[name].residence != "loaded" or (may[name].context or wish.context) < wish.context


def test_a_load_is_worth_it_when_enough_wait() -> None:
    full, idle = node("full", in_flight=4), node("idle", residence="ready", size=10**9)
    assert [each.node for each in rank(wanted(), [full, idle])] == ["full"]
    assert {each.node for each in rank(wanted(), [full, idle], waiting=8)} == {"full", "idle"}


def test_a_load_that_would_wait_for_what_runs_is_offered_later() -> None:
    full = node("full", in_flight=4)
    tight = node("tight", residence="ready", size=10**9, fits=False, in_flight=2)
    assert [each.node for each in rank(wanted(), [full, tight], waiting=8)] == ["full"]
    assert {each.node for each in rank(wanted(), [full, tight], waiting=80)} == {"full", "tight"}


def test_a_shared_node_spares_the_tenants_own_no_load() -> None:
    own, shared = node("own", residence="ready"), node("shared", tenant="others", shared=True)
    assert order("balanced", own, shared) == ["own", "shared"]


def test_a_model_that_is_in_nobodys_memory_is_loaded() -> None:
    assert len(order("balanced", node("a", residence="ready"), node("b", residence="present"))) == 2


@given(wishes, candidates)
def test_scores_fall_and_lie_between_0_and_1(wish: Wanted, given: list[Candidate]) -> None:
    scores = [each.score for each in rank(wish, given)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


@given(wishes, candidates)
def test_shares_lie_between_0_and_1_and_times_are_not_negative(wish: Wanted, given: list[Candidate]) -> None:
    for each in rank(wish, given):
        assert all(value >= 0 for value in each.parts.values())
        assert all(each.parts[name] <= 1 for name in ("loaded", "room", "prefix", "home", "own"))


@given(wishes, candidates)
def test_a_shared_node_never_stands_before_an_own_one_while_one_of_these_has_room(
    wish: Wanted, given: list[Candidate]
) -> None:
    ranked = rank(wish, given, most=99)
    if any(each.parts["own"] and each.parts["room"] > 0 for each in ranked):
        own = [each.parts["own"] for each in ranked]
        assert own == sorted(own, reverse=True)


@given(wishes, candidates)
def test_the_last_one_is_named_so_and_one_alone_too(wish: Wanted, given: list[Candidate]) -> None:
    ranked = rank(wish, given, most=99)
    assert [each.reason for each in ranked if each.reason in ("last", "only")] == (
        [] if not ranked else ["only" if len(ranked) == 1 else "last"]
    )


@given(wishes, candidates)
def test_ranking_changes_nothing_it_is_given(wish: Wanted, given: list[Candidate]) -> None:
    before = [repr(each) for each in given]
    rank(wish, given)
    assert [repr(each) for each in given] == before


def test_at_most_sixteen_are_ranked() -> None:
    assert len(rank(wanted(), [node(f"{n:02}") for n in range(40)])) == MOST == 16


def test_nobody_is_ranked_where_nobody_may_run_it() -> None:
    assert rank(wanted(), [node("a", bar="draining")]) == []


def test_the_tenants_own_node_goes_before_a_shared_one() -> None:
    own, shared = node("own", in_flight=3), node("shared", tenant="others", shared=True)
    best = first("balanced", own, shared)
    assert (best.node, best.reason) == ("own", "own")


def test_a_shared_node_helps_when_the_tenants_own_are_full() -> None:
    own, shared = node("own", in_flight=9), node("shared", tenant="others", shared=True)
    assert order("balanced", own, shared) == ["shared", "own"]


def test_a_node_alone_is_chosen_because_it_is_alone() -> None:
    best = first("balanced", node("a"))
    assert (best.reason, best.parts["own"]) == ("only", 1.0)
    assert wanted().tenant == TENANT

"""A node in the gateway's own region goes before one that is as good elsewhere; it forbids nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.routing import rank
from ollamamax.contract.profile import Strategy
from tests.scheduling.nodes import candidates, first, measured, node, order, wanted, wishes

LONG = 4000
PREFERRING: list[Strategy] = ["balanced", "fastest", "least_busy", "affinity", "cheapest"]


@pytest.mark.parametrize("strategy", PREFERRING)
def test_of_equals_the_near_one_is_first_whatever_the_prompt(strategy: Strategy) -> None:
    pair = [node("a", region="us", hourly_cost=1.0), node("b", region="eu", hourly_cost=1.0)]
    for number in range(50):
        best = rank(wanted(strategy, prefixes=(number << 24 | 9,)), pair, here="eu")[0]
        assert (best.node, best.reason, best.parts["region"]) == ("b", "region", 1.0)


def test_turns_are_taken_across_regions() -> None:
    pair = [node("a", region="us"), node("b", region="eu")]
    assert [first("round_robin", *pair, here="eu", turn=turn).node for turn in range(4)] == ["a", "b", "a", "b"]


def test_a_node_far_away_that_is_faster_by_more_than_the_way_is_first() -> None:
    near = measured("near", first_token_ms=100, region="eu")
    assert order("balanced", measured("far", first_token_ms=50, region="us"), near, here="eu")[0] == "near"
    assert order("balanced", measured("far", first_token_ms=100, speed=90, region="us"), near, here="eu")[0] == "far"


def test_what_was_read_far_away_is_worth_the_way() -> None:
    pair = [node("near", region="eu"), node("far", region="us")]
    for strategy in ("balanced", "affinity"):
        best = rank(wanted(strategy, prompt_tokens=LONG), pair, warm={"far": 0.9}, here="eu")[0]
        assert (best.node, best.reason, best.parts["region"]) == ("far", "prefix", 0.0)


def test_a_full_node_is_left_for_one_far_away() -> None:
    for strategy in PREFERRING:
        assert order(strategy, node("near", region="eu", in_flight=4), node("far", region="us"), here="eu")[0] == "far"


def test_a_node_of_no_region_counts_as_near() -> None:
    best = first("balanced", node("far", region="us"), node("somewhere"), here="eu")
    assert (best.node, best.parts["region"]) == ("somewhere", 1.0)


@given(wishes, candidates, st.sampled_from(["eu", "us", "elsewhere"]))
def test_it_is_never_a_veto(wish: Wanted, given: list[Candidate], here: str) -> None:
    assert {each.node for each in rank(wish, given, most=99)} == {
        each.node for each in rank(wish, given, here=here, most=99)
    }


@given(wishes, candidates)
def test_a_gateway_that_knows_no_region_says_nothing_of_it(wish: Wanted, given: list[Candidate]) -> None:
    assert all("region" not in each.parts for each in rank(wish, given))

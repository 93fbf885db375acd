"""What each strategy prefers."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from cluster.scheduling.candidate import Candidate
from cluster.scheduling.routing import rank
from cluster.scheduling.strategies import within_bound
from tests.scheduling.nodes import candidates, first, measured, node, order, wanted

LONG = 4000


# balanced


def test_balanced_prefers_a_model_in_memory_to_one_on_the_disk() -> None:
    assert order("balanced", node("a", residence="ready"), node("b", in_flight=3)) == ["b"]


def test_balanced_prefers_an_instance_with_enough_context_to_one_that_would_be_reloaded() -> None:
    ranked = rank(wanted(num_ctx=8192), [node("a", context=4096), node("b", context=8192, in_flight=3)])
    assert [each.node for each in ranked] == ["b"]


def test_balanced_prefers_the_freer_of_equals() -> None:
    best = first("balanced", node("a", in_flight=3), node("b", in_flight=1))
    assert (best.node, best.reason) == ("b", "idle")


def test_balanced_prefers_the_faster_of_equally_busy_nodes() -> None:
    best = first("balanced", measured("a", speed=20), measured("b", speed=60))
    assert (best.node, best.reason) == ("b", "fastest")


def test_balanced_waits_for_a_fast_node_rather_than_crawl_on_a_slow_one() -> None:
    assert order("balanced", measured("slow", speed=5), measured("fast", speed=100, in_flight=5))[0] == "fast"


def test_balanced_loads_a_model_rather_than_wait_longer_for_it() -> None:
    small = node("idle", residence="ready", size=10**8)
    assert order("balanced", small, node("busy", in_flight=40)) == ["idle", "busy"]
    assert order("balanced", small, node("busy", in_flight=3)) == ["busy"]


def test_balanced_goes_where_the_prompt_was_read_before() -> None:
    best = rank(wanted(prompt_tokens=LONG), [node("a"), node("b")], warm={"b": 0.9})[0]
    assert (best.node, best.reason, best.parts["prefix"]) == ("b", "prefix", 0.9)


def test_balanced_leaves_a_warm_node_that_is_far_busier_than_the_others() -> None:
    idle = [node(name) for name in "acde"]
    assert rank(wanted(prompt_tokens=LONG), [*idle, node("b", in_flight=3)], warm={"b": 0.9})[0].node != "b"


def test_balanced_tries_a_node_that_nobody_measured() -> None:
    """It counts as the best that is known, and is less busy."""
    assert order("balanced", measured("a", speed=50, in_flight=1), node("new"), measured("b", speed=5))[0] == "new"


def test_balanced_spreads_prompts_over_equals_and_brings_each_home() -> None:
    nodes = [node(name) for name in "abcd"]
    homes = {n: rank(wanted(prefixes=(n << 24 | 9,)), nodes)[0].node for n in range(400)}
    assert all(60 < count < 140 for count in Counter(homes.values()).values())
    fewer = nodes[:3]
    moved = {n for n, home in homes.items() if home != rank(wanted(prefixes=(n << 24 | 9,)), fewer)[0].node}
    assert moved == {n for n, home in homes.items() if home == "d"}, "only the prompts of a node that left move"


# least_busy


def test_least_busy_counts_requests_by_slots() -> None:
    best = first("least_busy", node("a", capacity=2, in_flight=1), node("b", capacity=16, in_flight=4))
    assert (best.node, best.reason) == ("b", "idle")


def test_least_busy_does_not_load_a_model_while_an_instance_has_a_free_slot() -> None:
    disk = node("disk", residence="ready")
    assert order("least_busy", disk, node("a", in_flight=3)) == ["a"]
    assert order("least_busy", disk, node("a", in_flight=12)) == ["disk", "a"]


# round_robin


def test_round_robin_takes_one_after_the_other() -> None:
    nodes = [node(name, in_flight=load) for name, load in (("a", 3), ("b", 0), ("c", 2))]
    assert [order("round_robin", *nodes, turn=turn)[0] for turn in range(5)] == ["a", "b", "c", "a", "b"]
    assert order("round_robin", *nodes, turn=1) == ["b", "c", "a"]


def test_round_robin_leaves_out_those_that_would_have_to_load() -> None:
    nodes = [node("a", residence="ready"), node("b"), node("c")]
    assert [order("round_robin", *nodes, turn=turn)[0] for turn in range(3)] == ["b", "c", "b"]


@given(candidates)
def test_round_robin_gives_everyone_the_same_number_of_turns(given: list[Candidate]) -> None:
    ready = [
        each
        for each in given
        if not each.bar and not each.taints and each.residence == "loaded" and each.tenant == wanted().tenant
    ]
    turns = Counter(order("round_robin", *ready, turn=turn)[0] for turn in range(3 * len(ready)))
    assert set(turns.values()) <= {3}


# fastest


def test_fastest_fills_the_fast_node_first() -> None:
    nodes = [measured("slow", speed=20), measured("fast", speed=50, in_flight=3)]
    assert order("fastest", *nodes) == ["fast", "slow"]
    nodes[1].in_flight = 12
    assert order("fastest", *nodes) == ["slow", "fast"]


def test_fastest_counts_the_first_token_too() -> None:
    best = first("fastest", measured("a", first_token_ms=900), measured("b", first_token_ms=90))
    assert (best.node, best.reason) == ("b", "fastest")


# affinity


def test_affinity_goes_where_most_of_the_prompt_was_read() -> None:
    best = first("affinity", node("a"), node("b"), node("c"), warm={"a": 0.2, "b": 0.9})
    assert (best.node, best.reason) == ("b", "prefix")


def test_affinity_goes_home_when_nobody_has_read_it() -> None:
    nodes = [node(name) for name in "abcdef"]
    best = first("affinity", *nodes)
    assert best.reason == "home"
    assert best.parts["home"] == max(each.parts["home"] for each in rank(wanted("affinity"), nodes))


def test_affinity_keeps_the_bound() -> None:
    nodes = [node("warm", in_flight=3), *(node(name) for name in "abcd")]
    assert order("affinity", *nodes, warm={"warm": 1.0})[0] != "warm"
    for each in nodes:
        each.in_flight = 3
    assert order("affinity", *nodes, warm={"warm": 1.0})[0] == "warm"


def test_few_requests_do_not_drive_each_other_away() -> None:
    nodes = [node("warm", in_flight=1), *(node(name) for name in "abcd")]
    assert order("affinity", *nodes, warm={"warm": 1.0})[0] == "warm"
    assert rank(wanted(prompt_tokens=LONG), nodes, warm={"warm": 1.0})[0].node == "warm"


@given(candidates)
def test_somebody_is_always_within_the_bound(given: list[Candidate]) -> None:
    assert not given or any(within_bound(given))


# cheapest


def test_cheapest_counts_what_the_work_costs_and_not_the_hour() -> None:
    slow, fast = measured("slow", speed=10, hourly_cost=1.0), measured("fast", speed=100, hourly_cost=3.0)
    best = first("cheapest", slow, fast)
    assert (best.node, best.reason) == ("fast", "cheapest")


def test_cheapest_leaves_a_full_node() -> None:
    assert order("cheapest", node("a", hourly_cost=1.0, in_flight=4), node("b", hourly_cost=9.0)) == ["b", "a"]


def test_cheapest_takes_a_node_of_unknown_cost_for_the_dearest() -> None:
    costs = [node("unknown"), node("dear", hourly_cost=9.0, in_flight=1), node("cheap", hourly_cost=1.0)]
    assert order("cheapest", *costs)[0] == "cheap"

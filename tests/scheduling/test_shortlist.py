"""Of very many candidates a few are ranked: who is chosen from them is as good, to a stated bound, as who is chosen from all."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.scheduling.candidate import Candidate, Wanted
from cluster.scheduling.eligibility import against
from cluster.scheduling.expectation import TOKENS
from cluster.scheduling.routing import home_of, rank
from cluster.scheduling.shortlist import EXACT, USUAL_PROMPT, Shortlist
from tests.scheduling.nodes import TENANT, node, wanted

quick = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
seeds = st.integers(0, 10**9)
STEP = 2**0.25
"""How much dearer another one in the same step may be."""


def _some(seed: int, count: int, **given: Any) -> list[Candidate]:
    """Unequal ones, all measured."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        capacity = rng.choice([1, 4, 16])
        token = 10 ** rng.uniform(0, 2)
        fields: dict[str, Any] = {
            "capacity": capacity,
            "in_flight": rng.randint(0, capacity + 1),
            "residence": rng.choice(["loaded", "loaded", "ready"]),
            "overhead_ms": 10 ** rng.uniform(1, 3),
            "prompt_speed": 10 ** rng.uniform(2, 4),
            "token_ms": token,
            "crowding_ms": token * rng.uniform(0, 0.2),
            "hourly_cost": rng.uniform(0.1, 10),
            "tenant": rng.choice([TENANT, "others"]),
            "shared": rng.random() < 0.8,
            "bar": "" if rng.random() < 0.9 else "draining",
            **given,
        }
        made.append(node(f"{seed}-{number}", **fields))
    return made


def _bounded(wish: Wanted, among: list[Candidate], turn: int = 0, **more: Any) -> list[Any]:
    listed = Shortlist(wish, "", among)
    warm: dict[str, float] = more.pop("warm", {})
    picked, crowd, share = listed.pick(lambda _: True, warm=warm, home=home_of(wish, turn), turn=turn)
    assert len(picked) <= EXACT
    return rank(wish, picked, warm=warm, turn=turn, tokens=TOKENS, waiting=share, crowd=crowd)


@pytest.mark.parametrize("strategy", ["balanced", "fastest", "least_busy", "cheapest"])
@quick
@given(seed=seeds)
def test_for_a_request_of_usual_size_the_choice_costs_no_more_than_its_bound(strategy: Any, seed: int) -> None:
    among, wish = _some(seed, 600, tenant=TENANT), wanted(strategy, prompt_tokens=USUAL_PROMPT)
    best, chosen = rank(wish, among, tokens=TOKENS)[0], _bounded(wish, among)[0]
    # A step, and what a prompt's home is taken to save at most.
    bound = STEP * 1.27 if strategy == "balanced" else STEP
    assert 1 / chosen.score - 1 <= bound * (1 / best.score - 1) + (0.002 if strategy == "least_busy" else 1e-5)


@pytest.mark.parametrize("strategy", ["balanced", "fastest", "least_busy", "cheapest", "affinity", "round_robin"])
@quick
@given(seed=seeds, tokens=st.integers(0, 100_000))
def test_what_all_say_of_the_choice_holds_of_the_few_too(strategy: Any, seed: int, tokens: int) -> None:
    among, wish = _some(seed, 300), wanted(strategy, prompt_tokens=tokens)
    exact, few = rank(wish, among, tokens=TOKENS), _bounded(wish, among, seed)
    by_name = {each.node: each for each in among}
    assert all(not against(wish, by_name[each.node]) for each in few)
    assert bool(few) == bool(exact)
    if exact:
        assert (few[0].parts["load_ms"] > 0) <= (exact[0].parts["load_ms"] > 0)
    if any(
        not each.bar and each.tenant == TENANT and each.residence == "loaded" and each.in_flight < each.capacity
        for each in among
    ):
        assert few[0].parts["own"] == 1.0


@quick
@given(seed=seeds)
def test_a_list_that_followed_changes_is_the_one_that_is_made_anew(seed: int) -> None:
    rng, among, wish = random.Random(seed), _some(seed, 150), wanted()
    listed = Shortlist(wish, "", among[:100])
    for _ in range(300):
        each = rng.choice(among)
        if rng.random() < 0.2:
            listed.remove(each.node)
            each.bar = "gone"
        else:
            each.bar, each.in_flight = rng.choice(["", "", "draining"]), rng.randint(0, 5)
            each.residence = rng.choice(["loaded", "ready"])
            listed.put(each)
    for each in among:
        listed.put(each)
    anew = Shortlist(wish, "", among)
    assert listed._places == anew._places
    assert listed._ring == anew._ring
    assert (listed._slots, listed._taken, listed._ready_slots) == (anew._slots, anew._taken, anew._ready_slots)
    assert {place: sorted(group) for place, group in listed._groups.items()} == {
        place: sorted(group) for place, group in anew._groups.items()
    }


def test_who_has_read_the_prompt_is_among_the_few_and_chosen_by_affinity() -> None:
    among = _some(1, 1000, tenant=TENANT, in_flight=0, residence="loaded", bar="")
    for each in among[:20]:
        chosen = _bounded(wanted("affinity"), among, warm={each.node: 1.0})[0]
        assert (chosen.node, chosen.reason) == (each.node, "prefix")


def test_gateways_that_see_another_load_agree_on_a_prompts_home() -> None:
    here = _some(1, 1000, tenant=TENANT, in_flight=0, capacity=4, residence="loaded", bar="")
    there = _some(1, 1000, tenant=TENANT, in_flight=1, capacity=4, residence="loaded", bar="")
    homes = set()
    for number in range(50):
        wish = wanted("affinity", prefixes=(number << 24 | 400,))
        one, other = _bounded(wish, here, 1)[0], _bounded(wish, there, 77)[0]
        assert (one.node, one.reason) == (other.node, "home")
        homes.add(one.node)
    assert len(homes) > 40


def test_nodes_that_may_not_be_used_now_leave_room_for_others() -> None:
    among = _some(3, 1000, tenant=TENANT, in_flight=0, residence="loaded", bar="")
    silent = {each.node for each in among[:900]}
    picked, _, _ = Shortlist(wanted(), "", among).pick(lambda name: name not in silent, warm=(), home=1, turn=1)
    assert picked
    assert not silent & {each.node for each in picked}


def test_requests_with_nothing_to_tell_them_apart_are_spread() -> None:
    among = _some(
        4,
        1000,
        tenant=TENANT,
        in_flight=0,
        residence="loaded",
        bar="",
        token_ms=20.0,
        crowding_ms=1.0,
        overhead_ms=9.0,
        prompt_speed=900.0,
        capacity=4,
    )
    listed, wish, chosen = Shortlist(wanted(), "", among), wanted(prefixes=()), []
    for turn in range(200):
        picked, crowd, _ = listed.pick(lambda _: True, warm=(), home=home_of(wish, turn), turn=turn)
        chosen.append(rank(wish, picked, turn=turn, crowd=crowd)[0].node)
    assert len(set(chosen)) > 150

"""Who is served next, as a pure decision."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.fairness import Priority, Waiting, order, pause, score, work


def line(tenant: str, count: int, *, cost: float = 10.0, weight: float = 1.0, since: float = 0.0) -> list[Waiting]:
    return [Waiting(f"{tenant}{number:03}", tenant, since + number, cost, weight) for number in range(count)]


def tenants(served: list[str]) -> str:
    return "".join(request[0] for request in served)


def test_work_counts_prompts_for_a_tenth_and_is_at_least_one() -> None:
    assert work(0, 0) == 1
    assert work(9, 0) == 1
    assert work(100, 0) == 10
    assert work(100, 5) == 15


def test_a_class_is_ahead_of_others_by_its_share_of_the_time_and_no_more() -> None:
    allowed = 100.0
    classes: list[Priority] = ["high", "normal", "low"]
    assert [score(1000.0, each, allowed) for each in classes] == [990.0, 1000.0, 1040.0]
    assert score(1000.0, "low", allowed) < score(1041.0, "normal", allowed), "it has waited long enough"


def test_a_slot_is_kept_for_a_share_of_what_the_request_took_and_not_for_long() -> None:
    assert pause(1.0) == pytest.approx(0.05)
    assert pause(2.0) == pytest.approx(0.1)
    assert pause(60.0) == pytest.approx(0.1)


def test_tenants_of_equal_weight_take_turns_however_many_wait() -> None:
    assert tenants(order([*line("a", 6), *line("b", 2, since=100)], {})) == "ababaaaa"


def test_who_weighs_twice_is_served_twice_as_often() -> None:
    served = tenants(order([*line("a", 9), *line("b", 9, weight=2.0)], {}))
    assert Counter(served[:9]) == {"a": 3, "b": 6}


def test_dear_requests_count_for_what_they_cost() -> None:
    assert Counter(tenants(order([*line("a", 9, cost=30.0), *line("b", 9)], {}))[:8]) == {"a": 2, "b": 6}


def test_who_had_less_until_now_is_first_and_who_waits_longer_breaks_a_tie() -> None:
    waiting = [*line("a", 1), *line("b", 1, since=5)]
    assert tenants(order(waiting, {})) == "ab"
    assert tenants(order(waiting, {"a": 1.0})) == "ba"
    assert tenants(order(waiting, {"a": 1.0, "b": 2.0})) == "ab"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(1, 50), st.sampled_from([0.5, 1.0, 4.0])),
        max_size=40,
    )
)
def test_each_is_served_once_and_after_those_of_its_tenant_that_stand_before_it(
    rows: list[tuple[str, int, int, float]],
) -> None:
    waiting = [
        Waiting(f"{number:03}", tenant, float(at), float(cost), weight)
        for number, (tenant, at, cost, weight) in enumerate(rows)
    ]
    served = order(waiting, {"a": 3.0})
    by_id = {each.request: each for each in waiting}
    assert sorted(served) == sorted(by_id)
    for tenant in "abc":
        own = [by_id[request] for request in served if by_id[request].tenant == tenant]
        assert own == sorted(own, key=lambda each: (each.score, each.request))

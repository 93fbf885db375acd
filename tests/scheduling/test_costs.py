"""A request costs the slots that it had, for as long as it had them, at the prices of when it was given them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.scheduling.costs import cost_of, slot_price
from ollamamax.contract import AttemptRecord
from ollamamax.contract.tables import Registered


def attempt(given_at: float, started_at: float | None, price: float | None, currency: str = "EUR") -> AttemptRecord:
    return AttemptRecord("n" * 32, "gpu-1", "only", given_at, started_at, price=price, currency=currency)


def test_an_hour_of_one_of_four_slots_costs_a_quarter_of_the_node() -> None:
    price = slot_price(Registered("t", "gpu-1", hourly_cost=10.0), 4)
    assert price == 2.5
    assert cost_of([attempt(100.0, 100.0, price)], 3700.0) == (2.5, "EUR")


@pytest.mark.parametrize(
    ("node", "slots"), [(None, 4), (Registered("t", "gpu-1"), 4), (Registered("t", "gpu-1", hourly_cost=1.0), 0)]
)
def test_without_a_cost_or_slots_there_is_no_price(node: Registered | None, slots: int) -> None:
    assert slot_price(node, slots) is None


def test_an_attempt_ends_with_the_next_and_one_that_never_began_costs_nothing() -> None:
    tried = [attempt(0.0, 0.0, 3600.0), attempt(10.0, None, 3600.0), attempt(20.0, 25.0, 7200.0)]
    assert cost_of(tried, 30.0) == (10.0 + 10.0, "EUR")
    assert cost_of([attempt(0.0, None, 1.0)], 30.0) == (0.0, "EUR")


@pytest.mark.parametrize(
    "tried",
    [
        [],
        [attempt(0.0, 0.0, None, "")],
        [attempt(0.0, 0.0, 1.0), attempt(5.0, 5.0, None, "")],
        [attempt(0.0, 0.0, 1.0), attempt(5.0, 5.0, 1.0, "USD")],
    ],
)
def test_what_is_not_wholly_priced_has_no_cost(tried: list[AttemptRecord]) -> None:
    assert cost_of(tried, 30.0) == (None, "")


times = st.floats(0, 1e5)


@given(st.lists(st.tuples(times, times, st.floats(0, 1e6)), min_size=1, max_size=5), times)
def test_no_cost_is_below_nothing_or_above_the_dearest_slot_for_the_whole_time(
    drawn: list[tuple[float, float, float]], ended: float
) -> None:
    """Also where clocks were set back meanwhile."""
    cost, _ = cost_of([attempt(*each) for each in drawn], ended)
    assert cost is not None
    assert 0 <= cost <= len(drawn) * max(price for _, _, price in drawn) * 1e5 / 3600 + 1e-6

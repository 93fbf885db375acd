"""What simulated hosts say is taken by the control plane, and has something wrong with it only where it should."""

from __future__ import annotations

import msgspec
import pytest

from benchmarks.history_size import Size, measure
from benchmarks.lively_fleet import kind_of, names, state_of
from ollamamax.contract import NodeState, encode_json


@pytest.mark.parametrize("number", [*range(8), 23, 41])
@pytest.mark.parametrize("now", [0.0, 1e6 + 0.5, 1.8e9])
def test_every_state_is_within_the_bounds_of_the_contract(number: int, now: float) -> None:
    state = state_of("0" * 32, "1" * 32, number, kind_of(number), seq=int(now) % 5000, now=now)
    assert msgspec.json.decode(encode_json(state), type=NodeState) == state
    assert state.running <= state.capacity


def test_names_are_unique_and_three_of_sixty_hosts_are_faulty() -> None:
    assert len(set(names(1000))) == 1000
    assert sorted(kind_of(number).fault for number in range(60) if kind_of(number).fault) == ["ecc", "engine", "hot"]


def test_a_day_of_history_grows_with_the_hosts_and_most_of_it_is_in_the_finest_steps() -> None:
    few, many = measure(Size(1)), measure(Size(10))
    assert few.redis < many.redis < 10 * few.redis
    assert many.redis > many.minutes > many.hours

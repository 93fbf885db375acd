"""What a node may say: a pause of who hears it is never its fault, and a flood always is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.fleet import node_allowance
from cluster.fleet.node_allowance import LONGEST_PAUSE, NodeAllowances
from ollamamax.contract.bounds import MOST_STATE_BYTES

NODE = "0" * 32


class Clock:
    """`time.monotonic` and `time.time` of the module under test."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(node_allowance, "time", made)
    return made


pauses = st.lists(st.floats(0, LONGEST_PAUSE - 1), min_size=1, max_size=30)


@given(pauses=pauses, size=st.integers(0, 200 << 10))
def test_no_pause_of_the_listener_makes_a_node_at_fault(pauses: list[float], size: int) -> None:
    """It says one state a second; what was said in a pause arrives when that is over, all at once."""
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(node_allowance, "time", clock)
        allowances, said = NodeAllowances(), 0
        begun = clock.now
        for pause in pauses:
            clock.now += pause
            while said < clock.now - begun:
                allowances.state(NODE, size)
                said += 1
        assert allowances.take_faults() == {}


def test_of_what_waited_only_a_little_is_read_and_then_the_next_one_again(clock: Clock) -> None:
    allowances = NodeAllowances()
    assert allowances.state(NODE, 900)
    clock.now += 120
    assert 1 < sum(allowances.state(NODE, 900) for _ in range(120)) <= 20
    clock.now += 1
    assert allowances.state(NODE, 900)
    assert allowances.take_faults() == {}


@pytest.mark.parametrize(("pace", "size"), [(1000, 10), (10, 900), (5, 6 << 20), (3, MOST_STATE_BYTES)])
def test_a_flood_is_told_and_most_of_it_is_not_read(clock: Clock, pace: int, size: int) -> None:
    allowances, read = NodeAllowances(), 0
    for _ in range(120 * pace):
        clock.now += 1 / pace
        read += allowances.state(NODE, size)
    (fault,) = allowances.take_faults().values()
    assert fault.excess
    assert read <= 3 * 120 + 20
    assert read * size <= (120 + 4) * MOST_STATE_BYTES

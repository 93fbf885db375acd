"""All nodes of a region together take no more than the tenant's terms say, whichever web process they ask."""

from __future__ import annotations

import time

import pytest
import redis

from models_registry.actions.leave import AHEAD_SECONDS, leave_of_region

RATE = 4_000_000


@pytest.mark.parametrize("sizes", [(1 << 20,), (65_536, 3 << 20, 1), (40 << 20,)], ids=str)
def test_leave_is_given_for_no_more_than_the_rate_and_little_ahead(valkey: redis.Redis, sizes: tuple[int, ...]) -> None:
    began = time.monotonic()
    given, last = 0, 0
    for number in range(60):
        size = sizes[number % len(sizes)]
        leave = leave_of_region("t1", "west", "n1", size, RATE)
        assert leave.bytes in {0, size}
        if leave.bytes:
            assert leave.wait <= AHEAD_SECONDS
            given, last = given + leave.bytes, leave.bytes
        else:
            assert leave.wait > 0
    assert given > 0
    assert given - last <= RATE * (time.monotonic() - began + AHEAD_SECONDS)
    assert leave_of_region("t1", "east", "n1", 1, RATE).wait == 0, "another region"
    assert leave_of_region("t2", "west", "n1", 1, RATE).wait == 0, "another tenant"


def test_a_node_that_asks_without_pause_leaves_the_others_their_turn(valkey: redis.Redis) -> None:
    """A node that lies to the others of its tenant, or a broken one, would stop all transfers of the region."""
    size, rate, given = 1 << 20, 8 << 20, 0
    while leave_of_region("t1", "west", "greedy", size, rate).bytes:
        pass
    for _ in range(12):
        leave = leave_of_region("t1", "west", "patient", size, rate)
        given += leave.bytes
        until = time.monotonic() + leave.wait
        while time.monotonic() < until:
            leave_of_region("t1", "west", "greedy", size, rate)
    assert given >= 5 * size

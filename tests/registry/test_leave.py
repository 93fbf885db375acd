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
        leave = leave_of_region("t1", "west", size, RATE)
        assert leave.bytes in {0, size}
        if leave.bytes:
            assert leave.wait <= AHEAD_SECONDS
            given, last = given + leave.bytes, leave.bytes
        else:
            assert leave.wait > 0
    assert given > 0
    assert given - last <= RATE * (time.monotonic() - began + AHEAD_SECONDS)
    assert leave_of_region("t1", "east", 1, RATE).wait == 0, "another region"
    assert leave_of_region("t2", "west", 1, RATE).wait == 0, "another tenant"

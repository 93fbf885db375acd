"""The slot of a tenant that comes back at once is kept for it a moment, while another one floods."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
import redis

from ollamamax.bus import keys
from tests.dispatch.one_node import FLOODS, NODE, OTHER, PAUSE, STEADY, Line


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as made:
        made.flushall()
        yield made


def flooded(client: redis.Redis) -> tuple[Line, str]:
    """Two slots, one of each tenant, and five requests of the one that floods waiting; the request of the steady one."""
    line = Line(client, 2)
    first = line.ask(STEADY)
    for _ in range(6):
        line.ask(FLOODS)
    return line, first


def test_who_comes_back_at_once_never_waits_and_has_no_more_than_its_share(client: redis.Redis) -> None:
    line, request = flooded(client)
    for _ in range(5):
        assert line.end(request, STEADY) == PAUSE
        assert line.running() == 1, "those who wait do not get the slot"
        request = line.ask(STEADY)
        assert line.runs(request)
    # It had six requests while the other's first runs on: the next slot is the other's.
    line.end(request, STEADY)
    assert line.running() == 2
    assert not line.runs(line.ask(STEADY))


def test_a_slot_is_given_away_when_its_time_is_over(client: redis.Redis) -> None:
    line, request = flooded(client)
    kept = line.end(request, STEADY, 0.2)
    assert kept == 0.2
    line.fill()
    assert line.running() == 1
    time.sleep(kept + 0.01)
    line.fill()
    assert line.running() == 2


def test_a_third_tenant_waits_for_its_turn_and_leaves_the_slot_alone(client: redis.Redis) -> None:
    line, request = flooded(client)
    line.end(request, STEADY)
    third = line.ask(OTHER)
    assert not line.runs(third)
    assert line.running() == 1
    assert line.runs(line.ask(STEADY))


def test_nothing_is_kept_for_a_tenant_that_comes_back_late(client: redis.Redis) -> None:
    line, request = flooded(client)
    kept = []
    for _ in range(4):
        kept.append(line.end(request, STEADY, 0.01))
        time.sleep(0.02)
        line.fill()
        # The slot is the other's now; it is the steady one's again when that has ended.
        request = line.ask(STEADY)
        for other in [r.decode().partition(".")[0] for r in client.smembers(keys.node_slots(NODE))]:
            if not line.runs(request):
                line.end(other, FLOODS, None)
        assert line.runs(request)
    assert kept == [0.01, 0.01, 0.01, 0.0]


def test_nothing_is_kept_when_nobody_waits_or_the_tenant_itself_does(client: redis.Redis) -> None:
    line = Line(client, 2)
    first, second = line.ask(STEADY), line.ask(STEADY)
    assert line.end(first, STEADY) == 0
    line.ask(STEADY)
    waits = line.ask(STEADY)
    line.ask(FLOODS)
    assert line.end(second, STEADY) == 0
    assert line.runs(waits) or line.running() == 2


def test_what_is_kept_is_forgotten(client: redis.Redis) -> None:
    line, request = flooded(client)
    line.end(request, STEADY, 0.05)
    assert 0 < client.pttl(keys.kept(NODE)) <= 1060
    assert 0 < client.ttl(keys.returns(STEADY)) <= 600

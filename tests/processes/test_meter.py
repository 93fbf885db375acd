"""The meter's clocks and counts, as rules: slow and honest passes, slow and idle does not."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamamax.processes.door.connections import Connections, network
from ollamamax.processes.door.meter import LEAST_RATE, ConnectionMeter, Phase, RequestTooFar, WireBounds

BOUNDS = WireBounds(head_bytes=1000, headers=10, head_seconds=15, body_seconds=30)


@given(st.lists(st.integers(1, 400), max_size=50))
def test_a_parser_is_never_fed_more_of_a_head_than_its_bound(sizes: list[int]) -> None:
    meter, fed = ConnectionMeter(BOUNDS, 0.0), 0
    with contextlib.suppress(RequestTooFar):
        for size in sizes:
            left = size
            while left:
                piece = min(left, meter.room())
                meter.fed(piece, Phase.HEAD, 0)
                fed += piece
                left -= piece
    assert fed == min(sum(sizes), 1000)


@given(st.lists(st.tuples(st.floats(0.1, 29), st.integers(1, 60_000)), max_size=40))
def test_a_body_may_be_slow_while_it_comes(parts: list[tuple[float, int]]) -> None:
    meter, now, size = ConnectionMeter(BOUNDS, 0.0), 0.0, 0
    meter.head_ends(now, 1)
    for pause, more in parts:
        now += pause
        late = meter.is_late(now, held_up=False)
        assert late == (now > 30 + size / LEAST_RATE)
        meter.arrives(now)
        meter.body(more)
        size += more
    assert meter.is_late(now + 31, held_up=False)


@given(st.floats(1, 500))
def test_time_that_the_client_was_held_up_is_not_its_own(pause: float) -> None:
    meter = ConnectionMeter(BOUNDS, 0.0)
    meter.head_ends(0.0, 1)
    assert not meter.is_late(pause, held_up=True)
    assert meter.is_late(pause + 31, held_up=False)


def test_what_wraps_a_body_is_bounded_by_the_body() -> None:
    meter = ConnectionMeter(BOUNDS, 0.0)
    meter.head_ends(0.0, 1)
    for _ in range(10_000):  # chunks of one byte are a body all the same
        meter.body(1)
        meter.fed(6, Phase.BODY, meter.body_bytes - 1)
    meter.fed(100_000, Phase.BODY, meter.body_bytes)
    with pytest.raises(RequestTooFar):
        meter.fed(100_000, Phase.BODY, meter.body_bytes)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_an_address_is_a_customer(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "2001:db8::1", "127.0.0.1", "203.0.113.9"]), st.booleans())))
def test_what_enters_and_leaves_is_counted_whole(moves: list[tuple[str, bool]]) -> None:
    connections = Connections(10, 3, frozenset(["203.0.113.9"]))
    inside: list[str] = []
    for address, enters in moves:
        if enters:
            status = connections.enter(address)
            most = 3 * (16 if address == "127.0.0.1" else 1)
            full = address != "203.0.113.9" and inside.count(address) >= most
            assert status == (503 if len(inside) >= 10 else 429 if full else 0)
            if not status:
                inside.append(address)
        elif address in inside:
            inside.remove(address)
            connections.leave(address)

"""While several tenants ask, one that floods is held to a rate that the process can bear; whoever asks less often never waits."""

from __future__ import annotations

import asyncio
import random

import pytest

from ollamamax.gateway.http import ClientGone, Owner
from ollamamax.gateway.pace import BURST, FIRST, GONE_SECONDS, LATE_SECONDS, LEAST, MOST, Pace
from ollamamax.gateway.starting_turns import Turns
from tests.patience import LONG


@pytest.mark.parametrize("seed", range(10))
def test_one_tenant_alone_never_waits(seed: int) -> None:
    rng = random.Random(seed)
    pace, now = Pace(), 0.0
    for _ in range(500):
        now += rng.choice((0.0, 0.0001, 0.5))
        pace.asks("one", now)
        assert pace.wait("one", now) == 0
        pace.begins("one", now)
        # Whoever has no key counts as nobody to be protected.
        pace.begins("address 192.0.2.1", now)
        pace.look(rng.choice((0.0, 0.2)), held=False)


@pytest.mark.parametrize("seed", range(20))
def test_whoever_asks_less_often_than_the_rate_never_waits_and_a_flood_is_held_to_it(seed: int) -> None:
    rng = random.Random(seed)
    pace, now = Pace(), 0.0
    begun, calm = 0, 0.0
    pace.asks("calm", now)
    pace.asks("flood", now)
    while now < 3:
        now += rng.random() * 0.002
        pace.look(rng.choice((0.0, 0.0, LATE_SECONDS * 2)), held=True)
        pace.asks("flood", now)
        while pace.wait("flood", now) == 0:
            pace.begins("flood", now)
            begun += 1
        if now >= calm:
            pace.asks("calm", now)
            assert pace.wait("calm", now) == 0
            pace.begins("calm", now)
            calm = now + 1 / LEAST
    assert begun <= 3 * MOST + BURST + 1


def test_a_flood_begins_as_many_as_the_rate_allows() -> None:
    pace, begun = Pace(), 0
    pace.asks("calm", 0.0)
    for tick in range(1000):
        now = tick / 1000
        pace.asks("calm", now)
        pace.asks("flood", now)
        pace.begins("calm", now)
        if pace.wait("flood", now) == 0:
            pace.begins("flood", now)
            begun += 1
    assert FIRST - 1 <= begun <= FIRST + BURST + 1


def test_the_rate_falls_while_the_process_is_late_and_rises_while_it_is_not() -> None:
    pace = Pace()
    for late, held in ((LATE_SECONDS * 1.1, True), (10.0, False)):
        before = pace.rate
        pace.look(late, held=held)
        assert before / 2 <= pace.rate < before
    for _ in range(100):
        pace.look(1.0, held=True)
    assert pace.rate == LEAST
    pace.look(0.0, held=False)
    assert pace.rate == LEAST, "nobody wants more"
    for _ in range(1000):
        pace.look(0.0, held=True)
    assert pace.rate == MOST


def test_tenants_that_are_gone_hold_nobody_back() -> None:
    pace = Pace()
    for owner in ("one", "other"):
        pace.asks(owner, 0.0)
        pace.begins(owner, 0.0)
    assert pace.several
    later = GONE_SECONDS + 1
    pace.asks("one", later)
    pace.begins("one", later)
    pace.forget_old(later)
    assert not pace.several
    assert pace._due.keys() == {"one"}


def test_what_a_tenant_did_alone_is_not_held_against_it() -> None:
    pace, now = Pace(), 0.0
    for _ in range(5000):
        now += 0.0005
        pace.asks("flood", now)
        pace.begins("flood", now)
    pace.asks("calm", now)
    pace.begins("calm", now)
    assert pace.rate == FIRST
    for _ in range(BURST):
        assert pace.wait("flood", now) == 0
        pace.begins("flood", now)
    assert pace.wait("flood", now + 1 / FIRST) <= 1 / FIRST


async def test_one_request_of_another_tenant_begins_while_a_flood_is_held_back() -> None:
    pace = Pace()
    turns, order = Turns(pace=pace), list[str]()

    async def request(owner: str) -> None:
        await turns.begin(owner)
        order.append(owner)

    await request("calm")
    flood = [asyncio.create_task(request("flood")) for _ in range(500)]
    for _ in range(20):
        await asyncio.sleep(0)
    held = order.count("flood")
    assert held < 100
    async with asyncio.timeout(LONG):
        await asyncio.gather(*(request("calm") for _ in range(BURST)))
    assert order.count("flood") < 100
    for task in flood:
        task.cancel()
    await asyncio.gather(*flood, return_exceptions=True)


async def test_whoever_leaves_while_held_back_holds_up_nobody() -> None:
    turns = Turns(pace=Pace())
    await turns.begin("calm")
    connections = [Owner() for _ in range(300)]
    waiting = [asyncio.create_task(turns.begin("flood", connection=each)) for each in connections]
    await asyncio.sleep(0)
    last = asyncio.create_task(turns.begin("flood", connection=(stays := Owner())))
    await asyncio.sleep(0)
    for each in connections:
        each.leave()
    async with asyncio.timeout(LONG):
        left = await asyncio.gather(*waiting, return_exceptions=True)
        await last
    assert any(isinstance(each, ClientGone) for each in left)
    assert stays.waits is None


async def test_who_is_left_alone_is_held_back_no_more() -> None:
    pace = Pace()
    turns, begun = Turns(pace=pace), 0

    async def request() -> None:
        nonlocal begun
        await turns.begin("flood")
        begun += 1

    await turns.begin("calm")
    pace.rate = LEAST
    flood = asyncio.gather(*(request() for _ in range(500)))
    await asyncio.sleep(0)
    pace._known.discard("calm")
    async with asyncio.timeout(LONG):
        await flood
    assert begun == 500

"""Requests that come at once: so many begin in one turn of the loop."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from ollamamax.gateway.starting_turns import Turns


async def test_few_begin_in_one_turn_and_all_in_their_order() -> None:
    turn = 0
    begun: list[tuple[int, int]] = []
    turns = Turns(4)

    def count() -> None:
        nonlocal turn
        turn += 1
        asyncio.get_running_loop().call_soon(count)

    async def request(number: int) -> None:
        await turns.begin()
        begun.append((number, turn))

    count()
    await asyncio.gather(*map(request, range(30)))
    assert [number for number, _ in begun] == list(range(30))
    each = Counter(turn for _, turn in begun)
    assert max(each.values()) == 4
    assert len(each) == 8, "no turn is left out"


async def test_one_alone_begins_at_once() -> None:
    turns = Turns(1)
    asked = turns.begin()
    try:
        asked.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


async def test_one_that_leaves_while_it_waits_takes_nobodys_turn() -> None:
    turns = Turns(1)
    await turns.begin()
    left, stays = (asyncio.create_task(turns.begin()) for _ in range(2))
    left.cancel()
    await asyncio.wait_for(stays, 1)
    await asyncio.gather(left, return_exceptions=True)
    assert left.cancelled()


@pytest.mark.parametrize("seed", range(20))
async def test_whoever_has_few_requests_waits_for_its_share_of_a_flood_only(seed: int) -> None:
    """After it came, at most as many of each other owner begin as of its own, and what one turn holds."""
    rng = random.Random(seed)
    most, floods, own = rng.randint(1, 6), rng.randint(1, 4), rng.randint(1, 12)
    turns, order = Turns(most), list[str]()

    async def request(owner: str) -> None:
        await turns.begin(owner)
        order.append(owner)

    flood = [f"flood {number}" for number in range(floods) for _ in range(rng.randint(50, 300))]
    rng.shuffle(flood)
    tasks = [asyncio.create_task(request(owner)) for owner in flood]
    for _ in range(rng.randint(1, 5)):
        await asyncio.sleep(0)
    before = len(order)
    tasks += [asyncio.create_task(request("small")) for _ in range(own)]
    for left in rng.sample(tasks[: len(flood)], 20):
        left.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    last = max(place for place, owner in enumerate(order) if owner == "small")
    each = Counter(order[before:last])
    assert each.pop("small", 0) == own - 1
    assert sum(each.values()) <= own * floods + 2 * most
    assert turns._waiting == {}

"""Requests that come at once: so many begin in one turn of the loop."""

from __future__ import annotations

import asyncio
from collections import Counter

from ollamamax.gateway.turns import Turns


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

"""Timers that share one of the event loop: none early, none late by more than a tick, each once, and none that was cancelled."""

from __future__ import annotations

import asyncio
import random

import pytest

from ollamamax.kernel import timers
from tests.patience import LONG


@pytest.mark.parametrize("seed", range(3))
async def test_each_runs_once_in_the_order_of_its_ticks_and_no_cancelled_one(seed: int) -> None:
    rng, loop = random.Random(seed), asyncio.get_running_loop()
    ran: list[tuple[int, float, float]] = []
    left, all_ran = set(range(300)), asyncio.Event()

    def run(number: int, due: float) -> None:
        ran.append((number, due, loop.time()))
        left.remove(number)
        if not left:
            all_ran.set()

    made, latest = [], []
    for number in range(300):
        seconds = rng.choice((0.0, rng.random() * 0.5, 0.2))
        made.append(timers.call_later(seconds, run, number, loop.time() + seconds))
        latest.append(loop.time() + seconds)
        if rng.random() < 0.1:
            await asyncio.sleep(0)
    for number in rng.sample(sorted(left), 100):
        made[number].cancel()
        made[number].cancel()
        left.discard(number)
    async with asyncio.timeout(LONG):
        await all_ran.wait()
    assert all(at >= due for _, due, at in ran)
    reached = 0.0
    for number, due, _ in ran:
        # Its tick lies between the two readings of the clock around the call, which may be two ticks.
        reached = max(reached, due // timers.TICK)
        assert reached <= latest[number] // timers.TICK
    for timer in made:
        timer.cancel()


async def test_one_that_fails_or_cancels_another_keeps_no_third_from_running() -> None:
    loop, ran = asyncio.get_running_loop(), asyncio.Event()
    told: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    each: list[timers.Timer] = []

    def fail() -> None:
        for other in each:
            other.cancel()
        raise ValueError("a fault")

    def must_not() -> None:
        raise AssertionError("it was cancelled")

    each += [timers.call_later(0.0, fail) for _ in range(3)]
    each += [timers.call_later(0.01, must_not)]
    timers.call_later(timers.TICK * 3, ran.set)
    for other in each[1:]:
        other.cancel()
    async with asyncio.timeout(LONG):
        await ran.wait()
    assert [str(context["exception"]) for context in told] == ["a fault"]


def test_each_loop_has_its_own() -> None:
    async def one() -> bool:
        ran = asyncio.Event()
        timers.call_later(0.0, ran.set)
        never = timers.call_later(600.0, ran.clear)
        async with asyncio.timeout(LONG):
            await ran.wait()
        never.cancel()
        return True

    assert all(asyncio.run(one()) for _ in range(3))

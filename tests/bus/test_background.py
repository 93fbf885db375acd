"""Work that a process does for ever: one that dies is started again, and everybody can know meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ollamamax.bus import background as module
from ollamamax.bus.background import Background
from tests.patience import until


@pytest_asyncio.fixture
async def background(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Background]:
    monkeypatch.setattr(module, "GRACE", 0.05)
    made = Background()
    yield made
    await made.stop()


async def test_work_that_dies_is_known_to_be_down_and_started_again(background: Background) -> None:
    begun: list[int] = []
    may_live = asyncio.Event()

    async def work() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise RecursionError
        await may_live.wait()

    background.run("fleet", work, pause=0.01)
    await until(lambda: bool(background.problems()))
    assert background.problems() == {"fleet": "It failed: RecursionError."}
    await until(lambda: len(begun) == 3)
    await until(lambda: not background.problems())


async def test_work_that_returns_begins_anew(background: Background) -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)
        await asyncio.sleep(0)

    background.run("tokens", work)
    await until(lambda: len(begun) > 3)
    assert background.problems() == {}


async def test_a_part_says_itself_when_it_cannot_do_its_work(background: Background) -> None:
    background.down("tokens", "The connection to Redis broke.")
    assert background.problems() == {}, "a connection that is made anew at once is no news"
    await until(lambda: background.problems() == {"tokens": "The connection to Redis broke."})
    background.up("tokens")
    assert background.problems() == {}


async def test_no_other_work_is_touched_by_one_that_dies(background: Background) -> None:
    ticks: list[int] = []

    async def lives() -> None:
        while True:
            ticks.append(1)
            await asyncio.sleep(0.001)

    async def dies() -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "not text")

    background.run("lives", lives)
    background.run("dies", dies, pause=0.01)
    await until(lambda: "dies" in background.problems())
    before = len(ticks)
    await until(lambda: len(ticks) > before + 10)
    assert set(background.problems()) == {"dies"}

"""What is said seldom, a disk that is nearly full, tasks that end for sure."""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from ollamamax.kernel import disk, seldom
from ollamamax.kernel.disk import RESERVE, DiskFull
from ollamamax.kernel.seldom import Seldom
from ollamamax.kernel.tasks import end

Usage = namedtuple("Usage", "total used free")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(seldom, "time", made)
    return made


def test_each_thing_is_said_once_in_a_while(clock: Clock) -> None:
    say = Seldom(seconds=10)
    assert (say("a"), say("b"), say("a")) == (True, True, False)
    clock.now += 9.9
    assert not say("a")
    clock.now += 0.1
    assert (say("a"), say("a")) == (True, False)


def test_no_more_things_are_remembered_than_there_is_room_for(clock: Clock) -> None:
    say = Seldom(most=3)
    assert [say(what) for what in "abc"] == [True] * 3
    assert not say("a")
    assert say("d")  # forgets the others
    assert say("a")
    assert not say("d")


@pytest.mark.parametrize(("free", "fits"), [(RESERVE + 100, True), (RESERVE + 99, False), (0, False)])
def test_what_comes_in_leaves_a_reserve(free: int, fits: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(1 << 40, 0, free))
    if fits:
        disk.require_free(tmp_path, 100)
    else:
        with pytest.raises(DiskFull, match=f"100 bytes are needed, {free} are free, and {RESERVE} stay free") as told:
            disk.require_free(tmp_path, 100)
        assert (told.value.code, told.value.status) == ("insufficient_storage", 507)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_write_without_room_says_that_the_disk_is_full(number: int) -> None:
    with pytest.raises(DiskFull, match="The disk is full: no room") as told, disk.told_when_full():
        raise OSError(number, "no room")
    assert isinstance(told.value.__cause__, OSError)


def test_another_error_of_a_write_stays_what_it_is() -> None:
    with pytest.raises(PermissionError), disk.told_when_full():
        raise PermissionError(errno.EACCES, "no right")


async def test_a_task_that_swallows_its_cancellation_is_cancelled_again() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1

    async def fails() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("as it ends")

    tasks = [asyncio.create_task(each()) for each in (stubborn, fails)]
    await asyncio.sleep(0)
    await end(tasks)
    assert all(task.done() for task in tasks)
    assert swallowed == 2

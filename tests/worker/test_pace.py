"""However bytes of a version come to a node, each of them waits for the same: what the owner, the terms, and the region allow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_registry.manifest import digest_of, hosted
from models_registry.replication.terms import LEAST_RATE
from models_registry.worker import pace as paces
from models_registry.worker.library import Library
from models_registry.worker.pace import BytePace, Throttle
from ollamamax.contract.peers import TransferLeave
from tests.fakes.control_plane import ControlPlane
from tests.patience import LONG
from tests.worker.test_library_watch import agent_of

DATA = os.urandom((5 << 20) + 12_345)
RATE, REGION_RATE = 7_000_000, 9_000_000


class PassingLoop(asyncio.SelectorEventLoop):
    """Where nothing is to be done before a time, it is that time."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__()

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


Takes = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 300_000)), min_size=1, max_size=30)


@given(takes=Takes, rates=st.tuples(*[st.none() | st.integers(70_000, 2_000_000)] * 2), leaves=st.booleans())
def test_whoever_takes_and_whenever_no_more_comes_than_the_slowest_allows(
    takes: list[tuple[float, int]], rates: tuple[int | None, int | None], leaves: bool
) -> None:
    came: list[tuple[float, int]] = []
    region_rate = 100_000

    async def all_of_them() -> None:
        loop = asyncio.get_running_loop()
        free = 0.0

        async def ask(count: int) -> TransferLeave:
            nonlocal free
            free = max(free, loop.time())
            if free > loop.time() + 2:
                return TransferLeave(0, 1.0)
            free += count / region_rate
            return TransferLeave(count, free - count / region_rate - loop.time())

        pace = BytePace(Throttle(rates[0]), ask)
        pace.told(rates[1], region_rate if leaves else None)

        async def one(begins: float, count: int) -> None:
            await asyncio.sleep(begins)
            await pace.take(count)
            came.append((loop.time(), count))

        await asyncio.gather(*(one(begins, count) for begins, count in takes))

    with asyncio.Runner(loop_factory=PassingLoop) as runner:
        runner.run(all_of_them())
    assert sum(count for _, count in came) == sum(count for _, count in takes)
    for rate in [*rates, region_rate if leaves else None]:
        if rate is not None:
            for at, last in came:
                assert sum(count for when, count in came if when <= at) <= rate * at + max(c for _, c in takes) + 1, (
                    last
                )


async def test_while_nobody_counts_for_the_region_bytes_come_as_slowly_as_terms_can_say() -> None:
    asked: list[int] = []

    async def nobody(count: int) -> None:
        await asyncio.sleep(0)
        asked.append(count)

    pace = BytePace(Throttle(), nobody)
    pace.told(None, REGION_RATE)
    hour = 3600 * LEAST_RATE
    await pace.take(hour)
    assert pace._alone.backlog > 60
    assert asked == [hour]
    pace.told(None, None)
    await pace.take(1 << 40)


@pytest.fixture
def control() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    plane.rate, plane.region_rate = RATE, REGION_RATE
    yield plane
    plane.stop()


@pytest.fixture
async def library(control: ControlPlane, tmp_path: Path) -> AsyncIterator[Library]:
    made = Library(agent_of(control, tmp_path))
    yield made
    await made.close()


def whole(control: ControlPlane, blobs: Path, digest: str) -> int:
    return len(DATA)


def broken(control: ControlPlane, blobs: Path, digest: str) -> int:
    control.break_after = 900_000
    return len(DATA)


def resumed(control: ControlPlane, blobs: Path, digest: str) -> int:
    (blobs / (digest.replace(":", "-") + ".part")).write_bytes(DATA[:2_000_000])
    return len(DATA) - 2_000_000


def in_pieces(control: ControlPlane, blobs: Path, digest: str) -> int:
    control.piece = 1 << 20
    return len(DATA)


def some_pieces(control: ControlPlane, blobs: Path, digest: str) -> int:
    control.piece = 1 << 20
    (blobs / (digest.replace(":", "-") + ".pieces")).write_bytes(DATA[: 2 << 20])
    return len(DATA) - (2 << 20)


@pytest.mark.parametrize("way", [whole, broken, resumed, in_pieces, some_pieces])
async def test_every_byte_that_comes_was_waited_for_in_one_place(
    control: ControlPlane,
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[[ControlPlane, Path, str], int],
) -> None:
    taken: dict[tuple[int, int | None], int] = {}

    async def take(throttle: Throttle, count: int) -> None:
        await asyncio.sleep(0)
        taken[id(throttle), throttle.rate] = taken.get((id(throttle), throttle.rate), 0) + count

    monkeypatch.setattr(paces.Throttle, "take", take)
    monkeypatch.setattr("models_registry.worker.fetch.LONGEST_PAUSE", 0.0)
    digest = control.add(DATA)
    comes = way(control, tmp_path / "blobs", digest)
    manifest = hosted("m:1", {}, digest, len(DATA))
    version = digest_of(manifest)
    await library.fetch(version, "m:1", manifest)
    await asyncio.wait_for(library._fetching[version], LONG)
    assert library._agent.local_models.find(version) is not None
    [of_terms] = [count for (_, rate), count in taken.items() if rate == RATE]
    assert of_terms == sum(control.leaves) == comes
    assert library._paces == {}, "a version that is here waits for nothing"

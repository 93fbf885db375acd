"""A node notices files of models that were changed or removed by hand, or that rotted, and has them anew; a transfer that is stopped keeps its part."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.worker.agent import Agent
from cluster.worker.local_models import DownloadedModels
from cluster.worker.transfer_settings import TransferSettings
from models_registry.manifest import digest_of, hosted
from models_registry.worker import library as libraries
from models_registry.worker.library import Library
from tests.fakes.control_plane import ControlPlane
from tests.patience import LONG

DATA = os.urandom(2_000_000)


@pytest.fixture
def control() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    yield plane
    plane.stop()


def agent_of(control: ControlPlane, home: Path) -> Agent:
    identity = SimpleNamespace(url=control.url, secret=control.secret, node="0" * 32)
    models = DownloadedModels()

    async def unload(version: str, name: str) -> None:
        """Nothing is loaded."""

    return cast(
        Agent,
        SimpleNamespace(
            identity=identity,
            home=home,
            local_models=models,
            transfers=TransferSettings(),
            engine=SimpleNamespace(unload=unload),
            spawn=lambda work, name: asyncio.create_task(work, name=name),
        ),
    )


class Case:
    def __init__(self, control: ControlPlane, library: Library, agent: Agent) -> None:
        self.control, self.library, self.agent = control, library, agent
        self.digest = control.add(DATA)
        manifest = hosted("m:1", {}, self.digest, len(DATA))
        self.order: dict[str, Any] = {"version": digest_of(manifest), "name": "m:1", "manifest": manifest}
        self.file = agent.home / "blobs" / self.digest.replace(":", "-")

    @property
    def is_ready(self) -> bool:
        return self.agent.local_models.find(self.order["version"]) is not None

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LONG):
            while not holds():
                await asyncio.sleep(0.01)


@pytest.fixture
async def case(control: ControlPlane, tmp_path: Path) -> AsyncIterator[Case]:
    agent = agent_of(control, tmp_path)
    library = Library(agent)
    yield Case(control, library, agent)
    await library.close()


def remove(file: Path) -> None:
    file.unlink()


def cut_off(file: Path) -> None:
    os.truncate(file, 1000)


def change(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"wrong")


@pytest.mark.parametrize("harm", [remove, cut_off, change])
async def test_what_somebody_did_to_a_file_is_repaired(case: Case, harm: Callable[[Path], None]) -> None:
    await case.library.fetch(**case.order)
    await case.until(lambda: case.is_ready)
    harm(case.file)
    assert await case.library.look_after() == [case.order["version"]]
    assert not case.is_ready, "nobody is told that it is ready meanwhile"
    await case.until(lambda: case.is_ready)
    assert case.file.read_bytes() == DATA
    assert await case.library.look_after() == []


async def test_bytes_that_rot_without_a_trace_are_found_when_they_are_read_again(case: Case) -> None:
    await case.library.fetch(**case.order)
    await case.until(lambda: case.is_ready)
    before = case.file.stat()
    change(case.file)
    os.utime(case.file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await case.library.look_after() == []
    assert await case.library.look_after(again=-1) == [case.order["version"]]
    await case.until(lambda: case.is_ready)
    assert case.file.read_bytes() == DATA


async def test_a_transfer_that_is_stopped_keeps_its_part_and_goes_on_from_there(
    case: Case, control: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.pause_after = 1_000_000
    await case.library.fetch(**case.order)
    part = case.file.with_suffix(".part")
    await case.until(lambda: part.exists() and part.stat().st_size >= 1_000_000)
    await case.library.stop(case.order["version"])
    (state,) = case.agent.local_models.states()
    assert (state.state, state.error) == ("failed", libraries.STOPPED)
    again = Library(case.agent)
    await again.resume()
    assert [each.state for each in case.agent.local_models.states()] == ["failed"], "after a restart too"
    control.pause_after = None
    await again.fetch(**case.order)
    await case.until(lambda: case.is_ready)
    assert control.ranges[-1].startswith("bytes=1")
    await again.close()

"""Blobs arrive whole and verified or not at all, and a download goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from models_registry.worker import fetch
from models_registry.worker.blobs import BlobFolder
from models_registry.worker.pace import BytePace, Speed, Throttle
from tests.fakes.control_plane import ControlPlane

DATA = os.urandom(3_000_000)


@pytest.fixture
def control() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    yield plane
    plane.stop()


@pytest.fixture
async def client(control: ControlPlane) -> AsyncIterator[aiohttp.ClientSession]:
    async with fetch.session(control.secret) as session:
        yield session


@pytest.fixture
def folder(tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "blobs")


class Case:
    def __init__(self, control: ControlPlane, client: aiohttp.ClientSession, folder: BlobFolder) -> None:
        self.control = control
        self.digest = control.add(DATA)
        self.told: list[int] = []
        self.client = client
        self.folder = folder

    async def fetch(self) -> None:
        url = f"{self.control.url}/api/v1/blobs/{self.digest}"
        await fetch.fetch_blob(
            self.client, url, self.folder, self.digest, len(DATA), self.told.append, BytePace(Throttle())
        )


@pytest.fixture
def case(control: ControlPlane, client: aiohttp.ClientSession, folder: BlobFolder) -> Case:
    return Case(control, client, folder)


async def test_a_blob_arrives_whole(case: Case) -> None:
    await case.fetch()
    assert case.folder.path(case.digest).read_bytes() == DATA
    assert case.folder.stamped(case.digest)
    assert case.told[-1] == len(DATA)
    assert not case.folder.part(case.digest).exists()


async def test_it_goes_on_where_the_connection_broke(case: Case) -> None:
    case.control.break_after = 1_000_000
    await case.fetch()
    assert case.folder.path(case.digest).read_bytes() == DATA
    assert case.control.ranges[0] == ""
    assert all(r.startswith("bytes=") for r in case.control.ranges[1:])
    assert len(case.control.ranges) >= 3


async def test_it_goes_on_from_a_part_of_a_former_process(case: Case) -> None:
    case.folder.part(case.digest).write_bytes(DATA[:2_000_000])
    await case.fetch()
    assert case.control.ranges == ["bytes=2000000-"]
    assert case.folder.path(case.digest).read_bytes() == DATA


async def test_a_part_with_wrong_bytes_is_thrown_away(case: Case) -> None:
    case.folder.part(case.digest).write_bytes(b"x" * 2_000_000)
    await case.fetch()
    assert case.control.ranges == ["bytes=2000000-", ""]
    assert case.folder.path(case.digest).read_bytes() == DATA


async def test_a_part_longer_than_the_blob_is_thrown_away(case: Case) -> None:
    case.folder.part(case.digest).write_bytes(DATA + b"more")
    await case.fetch()
    assert case.control.ranges == [""]


async def test_wrong_bytes_are_not_kept(case: Case) -> None:
    case.control.change = lambda data: b"x" + data[1:]
    with pytest.raises(fetch.FetchFailed, match="not those of that digest"):
        await case.fetch()
    assert not case.folder.path(case.digest).exists()
    assert not case.folder.part(case.digest).exists()


async def test_a_server_without_ranges_is_read_from_the_start(case: Case) -> None:
    case.folder.part(case.digest).write_bytes(DATA[:500_000])
    case.control.ignores_ranges = True
    await case.fetch()
    assert case.folder.path(case.digest).read_bytes() == DATA


async def test_a_blob_that_is_not_there_is_said_so(case: Case) -> None:
    del case.control.blobs[case.digest]
    with pytest.raises(fetch.FetchFailed, match="does not have this blob"):
        await case.fetch()


async def test_a_refused_key_is_said_so(case: Case) -> None:
    case.control.secret = "another"
    with pytest.raises(fetch.FetchFailed, match="refused this node's key"):
        await case.fetch()


async def test_a_full_disk_is_said_so(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("ollamamax.kernel.disk.shutil.disk_usage", lambda _: usage)
    with pytest.raises(fetch.FetchFailed, match="The disk is full"):
        await case.fetch()


async def test_a_control_plane_that_is_away_is_said_so(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "LONGEST_PAUSE", 0.01)
    case.control.stop()
    with pytest.raises(fetch.FetchFailed, match="cannot be reached"):
        await case.fetch()


def test_a_changed_file_is_read_again(folder: BlobFolder) -> None:
    digest = "sha256:" + hashlib.sha256(DATA).hexdigest()
    folder.path(digest).write_bytes(DATA)
    assert not folder.stamped(digest)
    assert folder.verify(digest)
    assert folder.stamped(digest)
    folder.path(digest).write_bytes(DATA[:-1] + b"x")
    assert not folder.stamped(digest)
    assert not folder.verify(digest)
    assert not folder.path(digest).exists()


def test_a_digest_cannot_name_a_path(folder: BlobFolder) -> None:
    with pytest.raises(Exception, match="not a sha256 digest"):
        folder.path("sha256:../../etc/passwd")


async def test_a_throttle_lets_bytes_come_no_faster_than_its_rate(case: Case) -> None:
    class Clock:
        slept = 0.0

    async def sleep(seconds: float) -> None:
        Clock.slept += seconds

    throttle = Throttle(1_000_000)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("models_registry.worker.pace.asyncio.sleep", sleep)
        for _ in range(10):
            await throttle.take(300_000)
    # The last one is paid for by whoever comes next; each sleep reaches further, because nothing really waited.
    assert throttle._free_at > 0
    assert Clock.slept > 2.0


def test_a_speed_is_that_of_the_last_seconds() -> None:
    now = [0.0]
    speed = Speed(lambda: now[0])
    assert speed.at(0) is None
    told = []
    for second in range(1, 21):
        now[0] = float(second)
        told.append(speed.at(second * 100 if second <= 10 else 1000 + (second - 10) * 500))
    assert told[5] == pytest.approx(100)
    assert told[-1] == pytest.approx(500)

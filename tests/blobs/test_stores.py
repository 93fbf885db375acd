"""Whatever holds the bytes, a folder or something without paths, they are read, sought in and served alike."""

from __future__ import annotations

import ast
import hashlib
import io
import random
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from ollamamax.blobs import reading
from ollamamax.blobs.bucket import BucketPlace, BucketStore
from ollamamax.blobs.disk import DiskStore, in_folder
from ollamamax.blobs.staging import Incoming, Staged, Staging
from ollamamax.blobs.store import Missing, Sources, Store, checked
from tests.architecture.code import modules
from tests.blobs.object_store import ObjectStore, object_store

DATA = random.Random(7).randbytes(700_001)
KEY = "sha256/ab/abc123"


class OddPieces:
    """A store without a folder, whose ranges come in pieces of odd sizes."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def stat(self, key: str) -> int | None:
        return len(self.held[key]) if key in self.held else None

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Generator[bytes]:
        if key not in self.held:
            raise Missing(key)
        asked = self.held[key][start:stop]
        for at in range(0, len(asked), 10_007):
            yield asked[at : at + 10_007]

    def put(self, staged: Staged, key: str) -> None:
        self.held.setdefault(key, staged.location.read_bytes())
        staged.discard()

    def delete(self, key: str) -> None:
        self.held.pop(key, None)

    def keys(self, *, older_than: float) -> Iterator[str]:
        yield from self.held

    def mark(self, key: str) -> str | None:
        return hashlib.sha256(self.held[key]).hexdigest() if key in self.held else None

    def local_file(self, key: str) -> None:
        """It has none."""

    def claim(self) -> None:
        """There is but one."""

    def is_there(self) -> bool:
        return True


def gathered(staging: Staging, data: bytes = DATA) -> Incoming:
    incoming = staging.receive()
    incoming.write(data)
    incoming.finish()
    return incoming


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as started:
        yield started


MADE: dict[str, Callable[[Path, BucketPlace], list[Store]]] = {
    "folder": lambda folder, _: [DiskStore(folder / "store")],
    "odd pieces": lambda _, __: [OddPieces()],
    "odd pieces behind an empty folder": lambda folder, _: [DiskStore(folder / "empty"), OddPieces()],
    "bucket": lambda folder, place: [BucketStore(place, folder / "store.bucket")],
    "folder behind an empty bucket": lambda folder, place: [
        BucketStore(place, folder / "store.bucket"), DiskStore(folder / "store"),
    ],
}  # fmt: skip


@pytest.fixture(params=MADE)
def store(request: pytest.FixtureRequest, tmp_path: Path, server: ObjectStore) -> Sources:
    staging = Staging(tmp_path / "store")
    stores = MADE[request.param](tmp_path, server.place(f"{tmp_path.name}/blobs"))
    sources = Sources(staging, stores)
    Sources(staging, stores[-1:]).put(gathered(staging), KEY)
    return sources


def test_what_was_put_is_found_and_nothing_is_left_of_its_coming(store: Sources, tmp_path: Path) -> None:
    assert store.stat(KEY) == len(DATA)
    assert reading.read_bytes(store, KEY) == DATA
    assert list(store.keys(older_than=-1)) == [KEY]
    assert not list(tmp_path.rglob("incoming-*"))


def test_what_is_put_twice_stays_and_what_is_deleted_is_gone(store: Sources) -> None:
    store.put(gathered(store.staging), KEY)
    assert reading.read_bytes(store, KEY) == DATA
    for _ in range(2):
        store.delete(KEY)
        assert store.stat(KEY) is None
        with pytest.raises(Missing):
            reading.read_bytes(store, KEY)
        with pytest.raises(Missing):
            reading.open_file(store, KEY)


def test_every_range_is_that_part_of_the_bytes(store: Sources) -> None:
    dice = random.Random(3)
    for _ in range(40):
        start = dice.choice([0, 1, dice.randrange(len(DATA)), len(DATA)])
        stop = dice.choice([None, start, start + 1, dice.randrange(start, len(DATA) + 1), len(DATA) + 5])
        assert b"".join(store.open_range(KEY, start, stop)) == DATA[start:stop]


def test_a_file_of_it_reads_and_seeks_as_files_do(store: Sources) -> None:
    dice = random.Random(4)
    same = io.BytesIO(DATA)
    with reading.open_file(store, KEY) as file:
        for _ in range(300):
            act = dice.randrange(5)
            if act == 0:
                where = dice.randrange(len(DATA) + 10)
                assert file.seek(where) == same.seek(where)
            elif act == 1:
                assert file.seek(-dice.randrange(100), io.SEEK_END) == same.seek(file.tell())
            elif act == 2:
                assert file.readline(500) == same.readline(500)
            else:
                count = dice.choice([0, 1, 7, 5_000, 300_000])
                assert file.read(count) == same.read(count)
            assert file.tell() == same.tell()


async def test_pieces_come_without_blocking_and_may_be_left(store: Sources) -> None:
    assert b"".join([piece async for piece in reading.pieces(store, KEY)]) == DATA
    left = reading.pieces(store, KEY)
    assert DATA.startswith(await anext(left))
    await left.aclose()  # type: ignore[attr-defined]
    with pytest.raises(Missing):
        await anext(reading.pieces(store, "nothing"))


@pytest.fixture
def client(store: Sources) -> TestClient:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = await reading.response(store, KEY, scope, etag="e", filename="ein name ü.jsonl")
        await found(scope, receive, send)

    return TestClient(app)


SIZE = len(DATA)
RANGES: dict[str, tuple[int, slice]] = {
    "bytes=0-0": (206, slice(0, 1)),
    "bytes=1000-": (206, slice(1000, None)),
    "bytes=1000-1999": (206, slice(1000, 2000)),
    f"bytes=5-{SIZE * 2}": (206, slice(5, None)),
    "bytes=-10": (206, slice(-10, None)),
    f"bytes=-{SIZE * 2}": (206, slice(0, None)),
    f"bytes={SIZE}-": (416, slice(0, 0)),
    "bytes=-0": (416, slice(0, 0)),
    # What is no single range is no range: all of it.
    "bytes=-": (200, slice(0, None)),
    "bytes=9-3": (200, slice(0, None)),
    "bytes=0-1,5-6": (200, slice(0, None)),
    "lines=0-1": (200, slice(0, None)),
    "bytes=" + "9" * 5000 + "-": (200, slice(0, None)),
    "": (200, slice(0, None)),
}


@pytest.mark.parametrize("asked", RANGES, ids=lambda text: text[:20])
def test_http_ranges_are_answered_as_rfc_9110_says(client: TestClient, asked: str) -> None:
    status, part = RANGES[asked]
    answer = client.get("/", headers={"Range": asked})
    head = client.head("/", headers={"Range": asked})
    assert (answer.status_code, head.status_code) == (status, status)
    assert answer.content == DATA[part]
    if status != 416:
        start, stop, _ = part.indices(SIZE)
        assert head.headers["content-length"] == str(len(answer.content))
        assert answer.headers.get("content-range") == (None if status == 200 else f"bytes {start}-{stop - 1}/{SIZE}")
    else:
        assert answer.headers["content-range"] == f"bytes */{SIZE}"


def test_a_range_of_another_version_is_not_answered_with_one(client: TestClient) -> None:
    assert client.get("/", headers={"Range": "bytes=1-2", "If-Range": '"e"'}).status_code == 206
    assert client.get("/", headers={"Range": "bytes=1-2", "If-Range": '"f"'}).content == DATA
    assert client.get("/").headers["content-disposition"] == "attachment; filename*=utf-8''ein%20name%20%C3%BC.jsonl"


@pytest.mark.parametrize("key", ["", "..", "../x", "a/../b", "/etc/passwd", "a//b", "A", "a.part", "a\n", "a/"])
def test_no_key_leads_out_of_a_store(key: str, tmp_path: Path) -> None:
    store = in_folder(tmp_path / "store")
    (tmp_path / "x").write_bytes(b"secret")
    with pytest.raises(ValueError, match="not a key"):
        checked(key)
    for act in (store.stat, store.delete, lambda key: list(store.open_range(key))):
        with pytest.raises(ValueError, match="not a key"):
            act(key)


def test_a_copy_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"abc")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        Staging(tmp_path / "store").copy(file)
    assert list((tmp_path / "store").rglob("*")) == []


def test_a_copy_knows_its_bytes(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(DATA)
    incoming = Staging(tmp_path / "store").copy(file)
    assert (incoming.sha256, incoming.size) == (hashlib.sha256(DATA).hexdigest(), SIZE)


def test_a_part_is_one_process_s_at_a_time(tmp_path: Path) -> None:
    part = Staging(tmp_path).part("a" * 32, "b" * 64)
    waited, entered = threading.Event(), threading.Event()

    def second() -> None:
        with Staging(tmp_path).part("a" * 32, "b" * 64).alone(waited.set):
            entered.set()

    thread = threading.Thread(target=second)
    with part.alone(lambda: None):
        thread.start()
        assert waited.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_where_bytes_lie_is_known_to_the_stores_alone() -> None:
    for path, tree in modules():
        if path.parts[:2] == ("ollamamax", "blobs"):
            continue
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.Attribute) and node.attr == "location"), f"{path}:{node.lineno}"


def test_other_bytes_under_a_key_have_another_mark_and_what_was_claimed_is_there(store: Sources) -> None:
    first = store.mark(KEY)
    assert first == store.mark(KEY)
    assert first is not None
    store.claim()
    store.delete(KEY)
    assert store.mark(KEY) is None
    assert store.is_there(), "it may be empty"
    store.put(gathered(store.staging, b"other bytes"), KEY)
    assert store.mark(KEY) not in {None, first}

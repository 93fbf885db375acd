"""What only a bucket has: more than one part, a key that is refused, a server that is away, another bucket than before."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollamamax.blobs import reading
from ollamamax.blobs.bucket import PART, BucketStore
from ollamamax.blobs.places import sources
from ollamamax.blobs.staging import Staging
from ollamamax.env import EnvironmentInvalid, read
from ollamamax.kernel.errors import Unavailable
from tests.blobs.object_store import BUCKET, KEY, KEY_ID, ObjectStore, object_store

GIVEN = {
    "OLLAMAMAX_SECRET_KEY": "k" * 50,
    "DATABASE_URL": "postgresql://u@127.0.0.1/x",
    "REDIS_URL": "redis://127.0.0.1",
    "OLLAMAMAX_S3_ACCESS_KEY_ID": KEY_ID,
    "OLLAMAMAX_S3_SECRET_ACCESS_KEY": KEY,
}


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as started:
        yield started


def test_what_has_several_parts_comes_back_as_it_was(server: ObjectStore, tmp_path: Path) -> None:
    store = BucketStore(server.place("parts"), tmp_path / "parts.bucket")
    data = random.Random(1).randbytes(2 * PART + 12_345)
    incoming = Staging(tmp_path).receive()
    incoming.write(data)
    incoming.finish()
    store.put(incoming, "sha256/aa/one")
    assert store.stat("sha256/aa/one") == len(data)
    digest = hashlib.sha256()
    for piece in store.open_range("sha256/aa/one"):
        assert len(piece) < PART, "a whole part in memory"
        digest.update(piece)
    assert digest.digest() == hashlib.sha256(data).digest()
    assert b"".join(store.open_range("sha256/aa/one", PART - 7, PART + 9)) == data[PART - 7 : PART + 9]
    assert not incoming.location.exists()


def test_settings_name_the_bucket_and_what_the_home_held_stays_readable(server: ObjectStore, tmp_path: Path) -> None:
    env = read({**GIVEN, "OLLAMAMAX_BLOB_STORE": f"s3://{BUCKET}/by-settings", "OLLAMAMAX_S3_ENDPOINT": server.address})
    before = sources(tmp_path, "blobs", read(GIVEN))
    for store, key in ((before, "old"), (sources(tmp_path, "blobs", env), "new")):
        incoming = store.staging.receive()
        incoming.write(key.encode())
        incoming.finish()
        store.put(incoming, key)
    after = sources(tmp_path, "blobs", env)
    assert [reading.read_bytes(after, key) for key in ("old", "new")] == [b"old", b"new"]
    assert before.stat("new") is None
    assert sorted(after.keys(older_than=-60)) == ["new", "old"]
    assert sources(tmp_path, "files", env).stat("new") is None, "files and blobs are apart"


def test_a_key_that_is_refused_is_unavailable_and_tells_nothing_of_the_answer(
    server: ObjectStore, tmp_path: Path
) -> None:
    store = BucketStore(server.place("refused", key="another"), tmp_path / "x.bucket")
    incoming = Staging(tmp_path).receive()
    incoming.write(b"abc")
    incoming.finish()
    for act in (
        lambda: store.stat("a"),
        lambda: store.put(incoming, "a"),
        lambda: store.delete("a"),
        lambda: list(store.keys(older_than=0)),
        lambda: reading.read_bytes(store, "a"),
        lambda: store.mark("a"),
    ):
        with pytest.raises(Unavailable) as told:
            act()
        assert re.fullmatch(rf"s3://{BUCKET}/refused cannot be used now: \w+\.", told.value.message)
    assert incoming.location.exists(), "what was not put is not lost"
    assert store.is_there() is False


def test_another_bucket_is_not_taken_for_one_on_which_everything_was_lost(server: ObjectStore, tmp_path: Path) -> None:
    beside = tmp_path / "blobs.bucket"
    store = BucketStore(server.place("claimed"), beside)
    assert store.is_there() is None, "nothing was ever found there"
    store.claim()
    assert store.is_there()
    assert BucketStore(server.place("claimed"), tmp_path / "second.bucket")._word() == beside.read_text()
    emptied = BucketStore(server.place("another"), beside)
    emptied.claim()
    assert emptied.is_there() is False


def test_a_server_that_is_away_is_unavailable_and_serves_again_when_it_is_back(
    server: ObjectStore, tmp_path: Path
) -> None:
    store = BucketStore(server.place("away"), tmp_path / "blobs.bucket")
    incoming = Staging(tmp_path).receive()
    incoming.write(b"abc")
    incoming.finish()
    store.put(incoming, "a")
    store.claim()
    server.kill()
    try:
        with pytest.raises(Unavailable, match=r"s3://models/away cannot be used now: \w+\."):
            reading.read_bytes(store, "a")
        assert store.is_there() is False
    finally:
        server.start()
    assert reading.read_bytes(store, "a") == b"abc"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"OLLAMAMAX_BLOB_STORE": "models"}, "must be a bucket such as"),
        ({"OLLAMAMAX_BLOB_STORE": "s3://models/../x"}, "must be a bucket such as"),
        ({"OLLAMAMAX_S3_ENDPOINT": "http://10.0.0.1:9000"}, "without TLS"),
        ({"OLLAMAMAX_S3_SECRET_ACCESS_KEY": ""}, "must be set together"),
        ({"OLLAMAMAX_S3_CA": "/nowhere.pem"}, "cannot be read"),
    ],
    ids=["no scheme", "path trick", "plain http", "half a key", "no certificates"],
)
def test_settings_that_cannot_work_are_refused_at_start(given: dict[str, str], said: str) -> None:
    with pytest.raises(EnvironmentInvalid, match=said) as told:
        read({**GIVEN, "OLLAMAMAX_BLOB_STORE": "s3://models", **given})
    assert KEY not in str(told.value)

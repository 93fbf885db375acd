"""`/api/blobs/:digest`: what is sent is kept when it is what it says, and for its sender only."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from django.conf import settings
from django.db import OperationalError
from pytest_django import Settings

from models_registry.actions.blob import blob_store
from models_registry.actions.collect import collect_garbage
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, Upload
from ollamamax.audit.models import AuditRecord
from ollamamax.blobs.reading import read_bytes
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel import disk
from tests.cast import Key, Person, make_key
from tests.management.conftest import Served, knows
from tests.patience import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
DATA = b"GGUF and what follows" * 100_000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
PATH = f"/api/blobs/{DIGEST}"


MOST = 3_000_000


@pytest.fixture(autouse=True)
def _limit(settings: Settings) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_BLOB_BYTES": MOST})


@pytest.fixture
def http(served: Served, owner_key: Key) -> Iterator[httpx.Client]:
    knows(lambda: served.ollama(owner_key).list())
    with served.http(owner_key) as made:
        yield made


@pytest.fixture
def stranger_http(served: Served, stranger_key: Key) -> Iterator[httpx.Client]:
    knows(lambda: served.ollama(stranger_key).list())
    with served.http(stranger_key) as made:
        yield made


def files() -> list[Path]:
    return [file for file in (settings.HOME / "blobs").rglob("*") if file.is_file()]


def test_a_blob_is_sent_once_and_found(http: httpx.Client) -> None:
    assert http.head(PATH).status_code == 404
    assert http.post(PATH, content=DATA).status_code == 201
    assert http.head(PATH).status_code == 200
    assert http.post(PATH, content=DATA).status_code == 200
    assert read_bytes(blob_store(), blob_key(DIGEST)) == DATA
    assert files() == [settings.HOME / "blobs" / blob_key(DIGEST)]
    assert AuditRecord.objects.filter(action="blob.upload").count() == 1


def test_the_client_sends_a_file_in_pieces(http: httpx.Client, served: Served, owner_key: Key, tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(DATA)
    assert served.ollama(owner_key).create_blob(file) == DIGEST
    assert http.head(PATH).status_code == 200


def test_knowing_a_digest_gives_nobody_its_bytes(http: httpx.Client, stranger_http: httpx.Client) -> None:
    http.post(PATH, content=DATA)
    assert stranger_http.head(PATH).status_code == 404
    # Who sends the bytes has them.
    assert stranger_http.post(PATH, content=DATA).status_code == 201
    assert stranger_http.head(PATH).status_code == 200
    assert Blob.objects.count() == 1


def test_bytes_that_are_something_else_are_refused_and_leave_nothing(http: httpx.Client) -> None:
    answer = http.post(PATH, content=DATA + b"x")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f'digest mismatch, expected "{DIGEST}"')
    assert http.head(PATH).status_code == 404
    assert files() == []


@pytest.mark.parametrize("digest", ["sha256:abc", "md5:" + "0" * 32, "sha256:" + "G" * 64, "../../etc/passwd", ""])
def test_what_is_no_digest_is_refused(http: httpx.Client, digest: str) -> None:
    for method in ("HEAD", "POST"):
        assert http.request(method, f"/api/blobs/{digest}").status_code in {400, 404}
    assert not (settings.HOME / "blobs").exists()


def test_a_blob_too_large_is_refused_whether_it_says_so_or_not(http: httpx.Client) -> None:
    assert http.post(PATH, content=b"x" * (MOST + 1)).status_code == 413
    pieces = (b"x" * 100_000 for _ in range(40))
    with contextlib.suppress(httpx.WriteError):  # the server may have heard enough before all was sent
        assert http.post(PATH, content=pieces).status_code == 413
    wait_for(lambda: not files(), what="nothing left")


def test_a_full_disk_is_refused(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "RESERVE", 1 << 60)
    answer = http.post(PATH, content=DATA)
    assert (answer.status_code, answer.json()["error"].startswith("The disk is full")) == (507, True)
    assert files() == []


def test_many_who_send_the_same_at_once_keep_one(http: httpx.Client) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(http.post(PATH, content=DATA).status_code)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 201}
    assert files() == [settings.HOME / "blobs" / blob_key(DIGEST)]
    with every_tenant():
        assert Upload.objects.count() == 1


def test_a_client_that_leaves_in_the_middle_leaves_nothing(served: Served, owner_key: Key, http: httpx.Client) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {owner_key.text}\r\nContent-Length: {len(DATA)}\r\n\r\n"
        connection.sendall(head.encode() + DATA[:1_500_000])
        wait_for(files, what="a part on the disk")
    wait_for(lambda: not files(), what="the part gone")
    assert http.head(PATH).status_code == 404


def test_an_upload_that_nobody_used_goes_after_a_day(http: httpx.Client) -> None:
    http.post(PATH, content=DATA)
    assert collect_garbage(datetime.timedelta(0)) == 0
    with every_tenant():
        Upload.objects.update(sent_at="2020-01-01T00:00:00Z")
    assert collect_garbage(datetime.timedelta(0)) == 1
    assert files() == []
    assert http.head(PATH).status_code == 404


def test_a_key_without_the_right_and_no_key_are_refused(served: Served, owner: Person) -> None:
    weak = make_key(owner, permissions=["inference.use"])
    knows(lambda: served.ollama(weak).list())
    with served.http(weak) as http:
        for method, path in (("HEAD", PATH), ("POST", PATH), ("POST", "/api/create"), ("POST", "/api/pull")):
            assert http.request(method, path, content=b"{}" if method == "POST" else None).status_code == 403
        for method, path in (("POST", "/api/push"), ("POST", "/api/copy"), ("DELETE", "/api/delete")):
            assert http.request(method, path, content=b"{}").status_code == 403
    answer = httpx.post(f"{served.url}/api/create", json={})
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})


def test_another_method_is_refused(http: httpx.Client) -> None:
    for method, path in (("GET", PATH), ("GET", "/api/pull"), ("POST", "/api/delete"), ("DELETE", "/api/copy")):
        answer = http.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"]


def test_without_the_database_it_says_so(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.connect", away)
    answer = http.post("/api/copy", json={"source": "a", "destination": "b"})
    monkeypatch.undo()
    assert answer.status_code == 503
    assert answer.json() == {"error": "The database does not answer. Try again soon."}
    assert answer.headers["retry-after"] == "5"


def test_a_tenant_has_so_many_bytes_and_no_more(
    http: httpx.Client, stranger_http: httpx.Client, settings: Settings
) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_TENANT_BLOBS_BYTES": len(DATA) + 10})
    assert http.post(PATH, content=DATA).status_code == 201
    other = f"/api/blobs/sha256:{hashlib.sha256(b'x' * 11).hexdigest()}"
    assert http.post(PATH, content=DATA).status_code == 200
    for content in (b"x" * 11, iter([b"x" * 11])):  # with a length, and without
        answer = http.post(other, content=content)
        assert (answer.status_code, "may have" in answer.text) == (413, True)
    assert files() == [settings.HOME / "blobs" / blob_key(DIGEST)]
    assert stranger_http.post(other, content=b"x" * 11).status_code == 201


def test_what_does_not_say_how_long_it_is_leaves_the_disk_its_reserve(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = SimpleNamespace(free=disk.RESERVE + 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    answer = http.post(PATH, content=iter([DATA]))
    assert (answer.status_code, "disk is full" in answer.text) == (507, True)
    assert files() == []

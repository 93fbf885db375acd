"""Collection takes only what nobody needs, also while models are pushed and pulled, and also where it is killed half-way."""

from __future__ import annotations

import datetime
import random
import threading

import pytest
from django.db import connections
from django.utils import timezone

from models_registry.actions import collect
from models_registry.actions.blob import blob_store
from models_registry.actions.collect import collect_garbage, collect_orphans
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, Image, Upload, Version
from ollamamax.identity.scope import every_tenant
from tests.cast import Key
from tests.distribution.conftest import EMPTY, Repository, Served, digest_of, image_of

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = datetime.timedelta(0)
DATA = b"bytes of a layer" * 100


def is_there(digest: str) -> bool:
    return blob_store().stat(blob_key(digest)) is not None


def test_a_blob_goes_a_while_after_the_last_who_needed_it(repository: Repository) -> None:
    digest = repository.push(DATA)
    hour = datetime.timedelta(hours=1)
    assert collect_garbage(AT_ONCE) == 0
    assert repository.http.delete(f"manifests/{digest}").status_code == 202
    assert collect_garbage(hour) == 0
    assert is_there(digest_of(DATA))
    # Needed again, the time begins anew.
    repository.push(DATA)
    assert collect_garbage(AT_ONCE) == 0
    with every_tenant():
        assert not Blob.objects.exclude(unneeded_since=None).exists()
    assert repository.http.delete(f"manifests/{digest}").status_code == 202
    assert collect_garbage(hour) == 0
    Blob.objects.update(unneeded_since=timezone.now() - hour)
    assert collect_garbage(hour) == 2
    assert not is_there(digest_of(DATA))


def test_what_a_pusher_was_told_to_be_here_stays_until_its_manifest_comes(repository: Repository) -> None:
    digest = repository.push(DATA)
    assert repository.http.head(f"blobs/{digest_of(DATA)}").status_code == 200
    assert repository.http.delete(f"manifests/{digest}").status_code == 202
    collect_garbage(AT_ONCE)
    assert is_there(digest_of(DATA))
    repository.push_blob(EMPTY)
    assert repository.push_manifest(image_of(DATA), "v2").status_code == 201


def test_pushes_of_the_same_bytes_and_a_collection_without_any_grace_leave_whole_images_only(
    served: Served, repository: Repository, owner_key: Key
) -> None:
    end, rng = threading.Event(), random.Random(7)
    shared = [bytes([each]) * 1000 for each in range(4)]
    broken: list[str] = []

    def collect_for_ever() -> None:
        try:
            while not end.is_set():
                collect_garbage(AT_ONCE)
        finally:
            connections.close_all()

    def push_and_delete(name: str, choices: list[list[bytes]]) -> None:
        mine = Repository(served, owner_key, name)
        for turn, layers in enumerate(choices):
            digest = mine.push(*layers, tag="latest")
            broken.extend(name for each in layers if mine.http.get(f"blobs/{digest_of(each)}").content != each)
            if turn % 2 == 0 and mine.http.delete(f"manifests/{digest}").status_code != 202:
                broken.append(name)
        mine.http.close()

    collector = threading.Thread(target=collect_for_ever)
    pushers = [
        threading.Thread(target=push_and_delete, args=(f"acme/m{each}", [rng.sample(shared, 2) for _ in range(6)]))
        for each in range(3)
    ]
    for thread in (collector, *pushers):
        thread.start()
    for thread in pushers:
        thread.join()
    end.set()
    collector.join()
    assert broken == []
    with every_tenant():
        for version in Version.objects.prefetch_related("blobs"):
            assert all(is_there(blob.digest) for blob in version.blobs.all())
        assert Image.objects.exists()
        Upload.objects.all().delete()
        collect_garbage(AT_ONCE)
        needed = {blob.digest for version in Version.objects.all() for blob in version.blobs.all()}
        assert set(Blob.objects.values_list("digest", flat=True)) == needed


def test_one_that_is_killed_half_way_is_finished_by_the_next(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in range(5):
        repository.push_blob(bytes([each]) * 100)
    with every_tenant():
        Upload.objects.all().delete()
    left = 2

    class Killed(BaseException):
        pass

    class Dying:
        def delete(self, key: str) -> None:
            nonlocal left
            blob_store().delete(key)
            left -= 1
            if not left:
                raise Killed

        @property
        def staging(self) -> object:
            return blob_store().staging

    with monkeypatch.context() as patched:
        patched.setattr(collect, "blob_store", Dying)
        with pytest.raises(Killed):
            collect_garbage(AT_ONCE)
    # One was removed, and of another the file; no row was lost without its file.
    assert Blob.objects.count() == 4
    # Whoever sends the same bytes meanwhile has them.
    for each in range(5):
        assert repository.push_blob(bytes([each]) * 100).status_code == 201
        assert repository.http.get(f"blobs/{digest_of(bytes([each]) * 100)}").content == bytes([each]) * 100
    with every_tenant():
        Upload.objects.all().delete()
    assert collect_garbage(AT_ONCE) == 5
    assert Blob.objects.count() == 0


def test_files_of_which_nobody_knows_are_found(repository: Repository) -> None:
    repository.push_blob(DATA)
    incoming = blob_store().staging.receive()
    incoming.write(b"left by one who died")
    incoming.finish()
    blob_store().put(incoming, blob_key(digest_of(b"left by one who died")))
    assert collect_orphans(datetime.timedelta(hours=1)) == 0
    assert collect_orphans(datetime.timedelta(seconds=-1)) == 1
    assert is_there(digest_of(DATA))
    assert not is_there(digest_of(b"left by one who died"))

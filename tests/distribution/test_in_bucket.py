"""The registry, when its blobs lie in a bucket: pushed, pulled in ranges, found damaged, collected; and plain words while the bucket is away."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from django.utils import timezone
from pytest_django import Settings

from models_registry.actions.blob import KEEP_UPLOADS
from models_registry.actions.collect import collect_garbage
from models_registry.actions.scrub import scrub_blobs
from models_registry.blob_keys import blob_key
from models_registry.models import Upload
from ollamamax.audit.models import AuditRecord
from ollamamax.blobs.places import bucket
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import Unavailable
from tests.blobs.object_store import BUCKET, KEY, KEY_ID, ObjectStore, object_store
from tests.distribution.conftest import Repository, digest_of, told

pytestmark = pytest.mark.django_db(transaction=True)
DATA = b"bytes of a layer" * 100_000


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as started:
        yield started


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, settings: Settings, server: ObjectStore) -> None:
    """In the place of the home that tests of the registry have else."""
    settings.HOME = tmp_path / "home"
    settings.ENV = Environment(
        {
            **settings.ENV.values,
            "OLLAMAMAX_BLOB_STORE": (BUCKET, tmp_path.name),
            "OLLAMAMAX_S3_ENDPOINT": server.address,
            "OLLAMAMAX_S3_ACCESS_KEY_ID": KEY_ID,
            "OLLAMAMAX_S3_SECRET_ACCESS_KEY": KEY,
        }
    )


def test_an_image_goes_into_the_bucket_and_comes_out_of_it(
    repository: Repository, server: ObjectStore, settings: Settings
) -> None:
    digest = repository.push(DATA)
    store = bucket(settings.HOME, "blobs", settings.ENV)
    assert store is not None
    assert store.stat(blob_key(digest_of(DATA))) == len(DATA)
    assert not [file for file in settings.HOME.rglob("*") if file.is_file() and file.stat().st_size >= len(DATA)]
    assert repository.http.get(f"blobs/{digest_of(DATA)}").content == DATA
    part = repository.http.get(f"blobs/{digest_of(DATA)}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, DATA[100:200])
    assert repository.http.get(f"manifests/{digest}").status_code == 200

    obstore.put(store._objects, blob_key(digest_of(DATA)), DATA[:-1] + b"x")
    assert scrub_blobs(lambda: None, again=datetime.timedelta(0)) == [digest_of(DATA)]
    assert store.stat(blob_key(digest_of(DATA))) is None
    assert told(repository.http.get(f"blobs/{digest_of(DATA)}")) == (404, "BLOB_UNKNOWN")
    assert repository.push(DATA) == digest

    assert repository.http.delete(f"manifests/{digest}").status_code == 202
    with every_tenant():  # whoever read it may still need it, and that was long ago
        Upload.objects.update(sent_at=timezone.now() - 2 * KEEP_UPLOADS)
    assert collect_garbage(datetime.timedelta(0)) == 2
    assert store.stat(blob_key(digest_of(DATA))) is None


def test_a_bucket_that_is_away_is_said_and_the_push_can_be_made_again(
    repository: Repository, server: ObjectStore
) -> None:
    repository.push(DATA)
    server.kill()
    try:
        assert repository.http.get(f"blobs/{digest_of(DATA)}").status_code == 503
        assert repository.push_blob(DATA + b"2").status_code == 503
        with pytest.raises(Unavailable):
            scrub_blobs(lambda: None, again=datetime.timedelta(0))
        assert not AuditRecord.objects.filter(action="blob.damaged").exists(), "a bucket that is away is no damage"
    finally:
        server.start()
    assert repository.http.get(f"blobs/{digest_of(DATA)}").content == DATA
    assert repository.push_blob(DATA + b"2").status_code == 201

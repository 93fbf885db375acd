"""Bytes that rot on the disk are found, served to nobody, and had again from a node or from whoever sends them."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import httpx
import pytest
from django.conf import settings
from django.utils import timezone

from cluster.engines.build import EngineChoice
from models_registry.actions.blob import blob_store
from models_registry.actions.scrub import note_damage, repair_blobs, scrub_blobs
from models_registry.actions.version import publish_gguf
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, Replica
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import Unavailable
from ollamamax.kernel.principal import system
from tests.cast import Person
from tests.distribution.conftest import Controller, Repository, Served, digest_of, image_of, told
from tests.management.conftest import MakeNode, make_node
from tests.patience import wait_for

__all__ = ["make_node"]

pytestmark = pytest.mark.django_db(transaction=True)
AGAIN = datetime.timedelta(0)
DATA = b"bytes of a layer" * 1000


def rot(digest: str) -> Path:
    """One bit of the file is another."""
    file: Path = settings.HOME / "blobs" / blob_key(digest)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    return file


def test_a_bit_that_changed_is_found_and_nobody_gets_the_bytes(repository: Repository) -> None:
    digest = repository.push(DATA)
    assert scrub_blobs(lambda: None) == []
    assert not Blob.objects.filter(verified_at=None).exists()
    file = rot(digest_of(DATA))
    assert scrub_blobs(lambda: None) == []  # they were read a moment ago
    assert scrub_blobs(lambda: None, again=AGAIN) == [digest_of(DATA)]
    assert not file.exists()
    assert AuditRecord.objects.get(action="blob.damaged").target_id == digest_of(DATA)
    assert told(repository.http.get(f"blobs/{digest_of(DATA)}")) == (404, "BLOB_UNKNOWN")
    # So a client sends it again, and all is well.
    assert repository.push_blob(DATA).status_code == 201
    assert repository.http.get(f"blobs/{digest_of(DATA)}").content == DATA
    assert repository.push_manifest(image_of(DATA)).headers["docker-content-digest"] == digest
    assert scrub_blobs(lambda: None, again=AGAIN) == []


def test_a_file_that_is_gone_is_found(repository: Repository) -> None:
    repository.push(DATA)
    (settings.HOME / "blobs" / blob_key(digest_of(DATA))).unlink()
    assert scrub_blobs(lambda: None) == [digest_of(DATA)]


def test_a_node_that_has_it_whole_sends_it_back(
    served: Served, controller: Controller, make_node: MakeNode, owner: Person, stranger: Person, gguf: Path
) -> None:
    settings.PUBLIC_URL = served.url
    node = make_node(EngineChoice("llamacpp", slots=1, context=512))
    publish_gguf(acting=owner.acting, file=gguf, name="tiny:1b")
    data = gguf.read_bytes()
    digest = digest_of(data)
    with every_tenant():
        wait_for(lambda: Replica.objects.filter(state=Replica.State.READY).exists(), what="the replica ready")
    secret = {"Authorization": f"Bearer {node.identity.secret}"}
    place = f"{served.url}/api/v1/blobs/{digest}"
    assert httpx.put(place, headers=secret, content=data).status_code == 404  # nobody lacks it
    file = rot(digest)
    assert scrub_blobs(lambda: None) == [digest]
    assert httpx.put(place, headers=secret, content=b"x" * len(data)).status_code == 400
    assert httpx.put(place, headers=secret, content=data + b"x").status_code == 413
    assert not file.exists()
    assert repair_blobs(lambda: None) == [digest]
    wait_for(file.exists, what="the blob back")
    assert file.read_bytes() == data
    wait_for(lambda: not Blob.objects.exclude(damaged_at=None).exists())
    assert AuditRecord.objects.get(action="blob.repair").actor_kind == "node"
    assert repair_blobs(lambda: None) == []


@pytest.mark.parametrize("claimed", [True, False], ids=["known disk", "disk that was never read"])
def test_a_disk_that_is_not_there_is_no_damage(repository: Repository, claimed: bool) -> None:
    repository.push(DATA)
    folder: Path = settings.HOME / "blobs"
    if claimed:
        assert scrub_blobs(lambda: None) == []
    away = folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    with pytest.raises(Unavailable):
        scrub_blobs(lambda: None, again=AGAIN)
    if claimed:  # what comes meanwhile does not make another disk the right one
        repository.push_blob(b"other bytes")
        with pytest.raises(Unavailable):
            scrub_blobs(lambda: None, again=AGAIN)
    assert not Blob.objects.exclude(damaged_at=None).exists()
    shutil.copytree(folder, away, dirs_exist_ok=True)
    shutil.rmtree(folder)
    away.rename(folder)
    assert scrub_blobs(lambda: None, again=AGAIN) == []


def test_what_was_put_right_between_reading_and_noting_stays(repository: Repository) -> None:
    repository.push(DATA)
    digest = digest_of(DATA)
    rotten = rot(digest)
    read = blob_store().mark(blob_key(digest))
    rotten.unlink()
    rotten.write_bytes(DATA)
    assert not note_damage(acting=system("test"), digest=digest, mark=read)
    assert repository.http.get(f"blobs/{digest}").content == DATA
    assert scrub_blobs(lambda: None, again=AGAIN) == []


def test_who_dies_between_noting_damage_and_taking_it_away_leaves_nothing_that_is_kept(repository: Repository) -> None:
    repository.push(DATA)
    digest = digest_of(DATA)
    file = rot(digest)
    Blob.objects.filter(pk=digest).update(damaged_at=timezone.now())
    assert repository.push_blob(DATA).status_code == 201
    assert file.read_bytes() == DATA
    rot(digest)
    Blob.objects.filter(pk=digest).update(damaged_at=timezone.now())
    assert scrub_blobs(lambda: None) == []
    assert not file.exists()

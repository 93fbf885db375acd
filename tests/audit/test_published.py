"""Heads in a bucket of a real server that speaks S3's protocol, and what `audit verify` finds by them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import transaction
from pytest_django import Settings

from ollamamax.audit.actions import record
from ollamamax.audit.loops import publish
from ollamamax.audit.notes import public_key, trusted_keys
from ollamamax.audit.published import publish_heads, published
from ollamamax.blobs.bucket import BucketStore
from ollamamax.blobs.places import heads_bucket
from ollamamax.bus import regions
from ollamamax.bus.loops import Leader
from ollamamax.env import Environment
from ollamamax.kernel.principal import system
from tests.audit.test_verify import ROW, TENANT, run, tamper, write_anew
from tests.blobs.object_store import BUCKET, KEY, KEY_ID, ObjectStore, object_store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with object_store() as started:
        yield started


@pytest.fixture
def store(server: ObjectStore, tmp_path: Path, settings: Settings) -> BucketStore:
    settings.HOME = tmp_path / "home"
    settings.ENV = Environment(
        {
            **settings.ENV.values,
            "OLLAMAMAX_AUDIT_HEADS_STORE": (BUCKET, uuid.uuid4().hex),
            "OLLAMAMAX_S3_ENDPOINT": server.address,
            "OLLAMAMAX_S3_ACCESS_KEY_ID": KEY_ID,
            "OLLAMAMAX_S3_SECRET_ACCESS_KEY": KEY,
        }
    )
    add(5)
    found = heads_bucket(settings.HOME, settings.ENV)
    assert found is not None
    return found


def add(count: int) -> None:
    for _ in range(count):
        with transaction.atomic():
            record(
                acting=system("test"), action="thing.make", target_type="thing", target_id="1", tenant=TENANT, detail={}
            )  # fmt: skip


def test_what_changed_is_published_once_and_verified_by_it(store: BucketStore, settings: Settings) -> None:
    folder = settings.HOME / "audit"
    assert [publish_heads(store, folder), publish_heads(store, folder)] == [1, 0]
    add(2)
    assert publish_heads(store, folder) == 1
    key = public_key(folder)
    assert key is not None
    names = sorted(store.listed(key))
    assert [name.split("/")[0::2] for name in names] == [[key, "000001"], [key, "000002"]]
    found, others = published(store, {key})
    assert ([head.seq for head in found[TENANT.hex]], others) == ([5, 7], [])
    assert published(store, set()) == ({}, [key])
    assert run("verify")[0] == 0
    # What was made is never written over, also by a controller that believes it is the first.
    assert not store.create(names[0], b"{}")
    assert run("verify")[0] == 0


@pytest.mark.parametrize("how", ["cut", "anew", "gone"])
def test_a_chain_that_the_databases_owner_changed_is_found_by_what_was_published_alone(
    store: BucketStore, settings: Settings, how: str
) -> None:
    folder = settings.HOME / "audit"
    publish_heads(store, folder)
    if how == "anew":
        write_anew(2)
        add(1)
        # The bucket has both by then.
        assert publish_heads(store, folder) == 1
    elif how == "cut":
        tamper(
            f"DELETE {ROW} > 3",
            f"UPDATE audit_chainhead SET seq = 3, hash = (SELECT hash {ROW} = 3) WHERE chain = '{{chain}}'",
        )
    else:
        tamper(f"DELETE {ROW} > 0", "DELETE FROM audit_chainhead WHERE chain = '{chain}'")
    code, text = run("verify")
    assert code == 1
    assert "noted outside the database" in text
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_AUDIT_HEADS_STORE": ""})
    assert run("verify")[0] == 0, "nothing else shows it"


def test_an_object_that_was_altered_or_taken_away_is_told_and_a_bucket_that_refuses_too(
    store: BucketStore, settings: Settings
) -> None:
    folder = settings.HOME / "audit"
    for _ in range(3):
        publish_heads(store, folder)
        add(1)
    [key] = trusted_keys(folder)
    first, _, last = sorted(store.listed(key))
    text = b"".join(store.open_range(last))
    for altered in (text.replace(b'[7,"', b'[6,"'), b"".join(store.open_range(first)), b"{}", b"x"):
        assert altered != text
        store.delete(last)
        assert store.create(last, altered)
        code, said = run("verify")
        assert (code, "tampered with: the object" in said) == (1, True)
    store.delete(first)
    code, said = run("verify")
    assert (code, "object 1 of" in said) == (1, True)
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_S3_SECRET_ACCESS_KEY": "another"})
    with pytest.raises(CommandError, match="cannot be read"):
        run("verify")


def test_the_controller_publishes_where_that_is_set_up_and_nowhere_else(store: BucketStore, settings: Settings) -> None:
    publish(Leader(regions.own(), 1, lambda: None))
    assert len(list(store.listed(""))) == 1
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_AUDIT_HEADS_STORE": ""})
    add(1)
    publish(Leader(regions.own(), 1, lambda: None))
    assert len(list(store.listed(""))) == 1

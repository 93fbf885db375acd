"""What a node is told of others that have a blob: of its tenant and region alone, and only where it listens itself; and the hashes of pieces."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from pathlib import Path

import pytest
import redis

from cluster.actions.node import Joined
from cluster.models import Node
from models_registry.actions.blob import blob_store
from models_registry.actions.pieces import hash_pieces
from models_registry.actions.replica import reconcile_replicas
from models_registry.blob_keys import blob_key
from models_registry.models import Blob, BlobPieces, Replica
from models_registry.peers import tickets
from models_registry.peers.authority import PeerAuthority
from models_registry.queries.peers import source_of
from ollamamax.contract import ModelState
from ollamamax.contract.peers import BlobSource, PeerPlace, piece_size
from ollamamax.contract.tables import PublishedBlob
from ollamamax.identity.scope import every_tenant
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish, write_gguf

pytestmark = pytest.mark.django_db(transaction=True)
AUTHORITY = PeerAuthority("of this test")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "large.gguf", size=1_500_000)


def told(joined: Joined, digest: str, *, with_hashes: bool = True) -> BlobSource:
    return source_of(AUTHORITY, joined.node.id, digest, PublishedBlob(1, 900_000, 5_000_000), with_hashes=with_hashes)


def test_the_pieces_of_a_blob_are_hashed_once_and_are_those_of_its_bytes(
    owner: Person, publish: Publish, large: Path
) -> None:
    publish(owner, file=large)
    blob = Blob.objects.get(size__gte=4 << 20)
    assert hash_pieces() == [blob.digest]
    assert hash_pieces() == []
    data = b"".join(blob_store().open_range(blob_key(blob.digest)))
    piece = piece_size(len(data))
    wanted = [hashlib.sha256(data[begin : begin + piece]).digest() for begin in range(0, len(data), piece)]
    assert bytes(BlobPieces.objects.get().hashes) == b"".join(wanted)


def test_a_node_is_told_of_others_of_its_tenant_and_region_that_are_to_have_it(
    owner: Person, stranger: Person, join: Join, publish: Publish, large: Path, valkey: redis.Redis
) -> None:
    version = publish(owner, file=large)
    publish(stranger, file=large)
    digest = Blob.objects.get(size__gte=4 << 20).digest
    asking, whole, coming, quiet, elsewhere = (join(owner, f"n{number}") for number in range(5))
    foreign = join(stranger, "foreign")
    with every_tenant():
        Node.objects.filter(pk=elsewhere.node.pk).update(region="west")
    for number, joined in enumerate((asking, whole, coming, quiet, elsewhere, foreign)):
        model = ModelState(version.digest, "tiny:1b", "ready" if joined is whole else "fetching", "llamacpp", size=1)
        place = None if joined is quiet else PeerPlace("10.0.0.1", 7000 + number)
        says(valkey, joined, model, peer=place)
    reconcile_replicas()
    assert told(asking, digest) == BlobSource(1, soon=True, rate=900_000, region_rate=5_000_000), (
        "its pieces are not known yet"
    )
    hash_pieces()
    found = told(asking, digest)
    assert found.hashes == bytes(BlobPieces.objects.get().hashes)
    assert (found.rate, found.region_rate) == (900_000, 5_000_000)
    assert {(each.node, each.port, each.whole) for each in found.peers} == {
        (whole.node.id.hex, 7001, True),
        (coming.node.id.hex, 7002, False),
    }
    for each in found.peers:
        key = AUTHORITY.ticket_key(each.node)
        tickets.check(key, each.ticket, asking=asking.node.id.hex, giving=each.node, digest=digest, now=time.time())
    assert told(quiet, digest).peers == [], "who gives nothing has all from here"
    assert told(asking, digest, with_hashes=False).hashes == b""
    assert told(foreign, digest).peers == []
    with every_tenant():
        Replica.objects.filter(node=coming.node.pk).update(desired=Replica.Desired.ABSENT)
        Replica.objects.filter(node=whole.node.pk).update(paused=True)
    assert told(asking, digest).peers == []


def test_every_web_process_has_the_same_authority_and_no_node_learns_anothers_key() -> None:
    one, other = PeerAuthority("of this test"), PeerAuthority("of another")
    nodes = [uuid.UUID(bytes=os.urandom(16)).hex for _ in range(20)]
    assert one._certificate == AUTHORITY._certificate != other._certificate
    keys = {one.ticket_key(node) for node in nodes} | {other.ticket_key(node) for node in nodes}
    assert len(keys) == 40

"""`/api/v1/blobs/<digest>`: nodes fetch their tenant's blobs, in ranges."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from cryptography import x509
from starlette.testclient import TestClient

from models_registry.blob_keys import blob_key, digest_of
from models_registry.protocol.blobs import Blobs
from models_registry.protocol.peers import certify, give_leave
from models_registry.replication.terms import LEAST_RATE, RATE_HEADER, REGION_RATE_HEADER, told_rate
from ollamamax import contract
from ollamamax.blobs.disk import in_folder
from ollamamax.contract.peers import PeerCertificate, peer_name
from ollamamax.contract.tables import KnownKey, PublishedBlob, Table
from ollamamax.identity.keys import make_key
from ollamamax.kernel.errors import NotFound
from ollamamax.kernel.principal import Principal

TENANT, OTHER = "a" * 32, "b" * 32


class Entries:
    """A directory that is in memory from the start."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {"node_keys": {}, "blobs": {}, "keys": {}, "nodes": {}}

    def get(self, table: Table[Any], field: str) -> Any:
        return self.tables[table.name].get(field)

    def node(self, tenant: str, table: str = "node_keys") -> dict[str, str]:
        made = make_key("node")
        self.tables[table][made.identifier] = KnownKey(made.secret_hash, "node", "c" * 32, tenant, "gpu-1")
        return {"Authorization": f"Bearer {made.text}"}


@pytest.fixture
def entries() -> Entries:
    return Entries()


async def nothing_lost(*_: object) -> Any:
    await asyncio.sleep(0)
    raise NotFound("This blob is not asked for.")


@pytest.fixture
def client(tmp_path: Path, entries: Entries) -> TestClient:
    async def directory() -> Any:
        await asyncio.sleep(0)
        return entries

    return TestClient(
        Blobs(in_folder(tmp_path / "blobs"), directory, nothing_lost, nothing_lost, nothing_lost, nothing_lost)
    )


@pytest.fixture
def digest(tmp_path: Path, entries: Entries) -> str:
    file = tmp_path / "weights"
    file.write_bytes(bytes(range(256)) * 1000)
    store = in_folder(tmp_path / "blobs")
    incoming = store.staging.copy(file)
    name = digest_of(incoming)
    store.put(incoming, blob_key(name))
    entries.tables["blobs"][f"{TENANT}/{name}"] = PublishedBlob(256_000)
    return name


def test_a_node_reads_it_whole_and_in_ranges(client: TestClient, entries: Entries, digest: str) -> None:
    node = entries.node(TENANT)
    whole = client.get(f"/api/v1/blobs/{digest}", headers=node)
    assert (whole.status_code, len(whole.content)) == (200, 256_000)
    part = client.get(f"/api/v1/blobs/{digest}", headers={**node, "Range": "bytes=1000-"})
    assert part.status_code == 206
    assert part.headers["content-range"] == "bytes 1000-255999/256000"
    assert part.content == whole.content[1000:]
    assert client.get(f"/api/v1/blobs/{digest}", headers={**node, "Range": "bytes=999999-"}).status_code == 416
    assert client.head(f"/api/v1/blobs/{digest}", headers=node).headers["content-length"] == "256000"


def test_a_node_is_told_how_fast_it_may_take_it(client: TestClient, entries: Entries, digest: str) -> None:
    node = entries.node(TENANT)
    assert RATE_HEADER not in client.get(f"/api/v1/blobs/{digest}", headers=node).headers
    entries.tables["blobs"][f"{TENANT}/{digest}"] = PublishedBlob(256_000, 1_000_000)
    assert told_rate(client.get(f"/api/v1/blobs/{digest}", headers=node).headers[RATE_HEADER]) == 1_000_000
    entries.tables["blobs"][f"{TENANT}/{digest}"] = PublishedBlob(256_000, None, 2_000_000)
    headers = client.get(f"/api/v1/blobs/{digest}", headers=node).headers
    assert (headers.get(RATE_HEADER), told_rate(headers[REGION_RATE_HEADER])) == (None, 2_000_000)
    assert [told_rate(text) for text in ("", "x", "-1", "9" * 30, "0", "\u0661")] == [None] * 4 + [LEAST_RATE, None]


def test_a_node_is_certified_told_of_a_blobs_source_and_given_leave(
    tmp_path: Path, entries: Entries, digest: str, valkey: redis.Redis
) -> None:
    async def directory() -> Any:
        await asyncio.sleep(0)
        return entries

    async def source(node: Principal, name: str, known: PublishedBlob, hashes: bool) -> bytes:
        await asyncio.sleep(0)
        return contract.encode_json([node.id, name, known.size, hashes])

    client = TestClient(Blobs(in_folder(tmp_path / "blobs"), directory, nothing_lost, source, certify, give_leave))
    node, foreign = entries.node(TENANT), entries.node(OTHER)
    made = msgspec.json.decode(client.get("/api/v1/blobs/certificate", headers=node).content, type=PeerCertificate)
    shown = x509.load_pem_x509_certificate(made.certificate.encode())
    assert shown.subject.rfc4514_string() == f"CN={peer_name('c' * 32)}"
    shown.verify_directly_issued_by(x509.load_pem_x509_certificate(made.authority.encode()))

    place = f"/api/v1/blobs/{digest}"
    assert client.get(f"{place}/source", headers=node).json() == ["c" * 32, digest, 256_000, True]
    assert client.get(f"{place}/source?hashes=0", headers=node).json()[3] is False

    assert client.get(f"{place}/leave?bytes=99", headers=node).json() == {"bytes": 99, "wait": 0.0}
    entries.tables["blobs"][f"{TENANT}/{digest}"] = PublishedBlob(256_000, None, 1_000_000)
    for _ in range(3):
        assert client.get(f"{place}/leave?bytes=1000000", headers=node).json()["bytes"] == 1_000_000
    assert client.get(f"{place}/leave?bytes=1", headers=node).json()["bytes"] == 0, "others of the region come first"
    for wrong in (
        "",
        "?bytes=",
        "?bytes=0",
        "?bytes=-1",
        "?bytes=1048577",
        "?bytes=9999999999",
        "?bytes=1&bytes=2",
        "?bytes=\u0661",
    ):
        assert client.get(f"{place}/leave{wrong}", headers=node).status_code == 400, wrong
    for part in ("certificate", f"{digest}/source", f"{digest}/leave?bytes=1"):
        assert client.get(f"/api/v1/blobs/{part}").status_code == 401
        assert client.post(f"/api/v1/blobs/{part}", headers=node).status_code == 405
    for part in ("source", "leave?bytes=1", "nothing"):
        assert client.get(f"{place}/{part}", headers=foreign).status_code == 404
        assert client.put(f"{place}/{part}", headers=node).status_code == 404


def test_a_node_of_another_tenant_does_not_find_it(client: TestClient, entries: Entries, digest: str) -> None:
    assert client.get(f"/api/v1/blobs/{digest}", headers=entries.node(OTHER)).status_code == 404


def test_only_nodes_may(client: TestClient, entries: Entries, digest: str) -> None:
    key = make_key()
    entries.tables["keys"][key.identifier] = KnownKey(key.secret_hash, "key", "c" * 32, TENANT, "k")
    for headers in ({}, {"Authorization": f"Bearer {key.text}"}, {"Authorization": "Bearer omxn_x"}):
        answer = client.get(f"/api/v1/blobs/{digest}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["", "x", "sha256:" + "0" * 64, "../../bootstrap.json", "sha256:..%2f..%2fx"])
def test_what_is_not_a_blob_of_the_tenant_is_not_found(client: TestClient, entries: Entries, name: str) -> None:
    answer = client.get(f"/api/v1/blobs/{name}", headers=entries.node(TENANT))
    assert answer.status_code in {404, 401}
    assert json.loads(answer.content)["status"] == answer.status_code


def test_bytes_that_are_missing_on_this_server_are_said_so(client: TestClient, entries: Entries) -> None:
    name = "sha256:" + "9" * 64
    entries.tables["blobs"][f"{TENANT}/{name}"] = object()
    assert client.get(f"/api/v1/blobs/{name}", headers=entries.node(TENANT)).status_code == 503


def test_blobs_are_only_read_here(client: TestClient, entries: Entries, digest: str) -> None:
    assert client.post(f"/api/v1/blobs/{digest}", headers=entries.node(TENANT)).status_code == 405

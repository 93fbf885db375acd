"""`/api/v1/blobs/<digest>`: nodes fetch their tenant's blobs, in ranges."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models_registry.blob_keys import blob_key, digest_of
from models_registry.protocol.blobs import Blobs
from ollamamax.blobs.disk import in_folder
from ollamamax.contract.tables import KnownKey, Table
from ollamamax.identity.keys import make_key

TENANT, OTHER = "a" * 32, "b" * 32


class Entries:
    """A directory that is in memory from the start."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Any]] = {"node_keys": {}, "blobs": {}, "keys": {}}

    def get(self, table: Table[Any], field: str) -> Any:
        return self.tables[table.name].get(field)

    def node(self, tenant: str, table: str = "node_keys") -> dict[str, str]:
        made = make_key("node")
        self.tables[table][made.identifier] = KnownKey(made.secret_hash, "node", "c" * 32, tenant, "gpu-1")
        return {"Authorization": f"Bearer {made.text}"}


@pytest.fixture
def entries() -> Entries:
    return Entries()


@pytest.fixture
def client(tmp_path: Path, entries: Entries) -> TestClient:
    async def directory() -> Any:
        await asyncio.sleep(0)
        return entries

    return TestClient(Blobs(in_folder(tmp_path / "blobs"), directory))


@pytest.fixture
def digest(tmp_path: Path, entries: Entries) -> str:
    file = tmp_path / "weights"
    file.write_bytes(bytes(range(256)) * 1000)
    store = in_folder(tmp_path / "blobs")
    incoming = store.staging.copy(file)
    name = digest_of(incoming)
    store.put(incoming, blob_key(name))
    entries.tables["blobs"][f"{TENANT}/{name}"] = object()
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

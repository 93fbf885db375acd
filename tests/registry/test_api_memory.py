"""What a model needs in memory, over the API: predicted from its file, and measured where nodes loaded it."""

from __future__ import annotations

import pytest
import redis
from rest_framework.test import APIClient

from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.shapes import read_shapes
from models_registry.models import Version
from ollamamax.contract import Gpu, ModelState
from tests import smollm
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)
MIB = 1 << 20


@pytest.fixture
def version(owner: Person, publish: Publish) -> Version:
    return publish(owner, "smol:1", file=smollm.path())


def address(api: APIClient) -> str:
    (found,) = api.get("/api/v1/models").json()["results"]
    return f"/api/v1/models/{found['id']}/memory"


def loaded(version: Version, memory: int, **more: object) -> ModelState:
    given = {"size": 1, "context_length": 512, "slots": 4, "memory": memory, **more}
    return ModelState(version.digest, "smol:1", "loaded", "llamacpp", **given)  # type: ignore[arg-type]


def test_it_is_known_once_the_file_was_read(owner_api: APIClient, version: Version) -> None:
    before = owner_api.get(address(owner_api)).json()
    assert (before["predicted"], before["unknown"]) == (None, "its file has not been read yet")
    assert len(read_shapes()) > 0
    assert read_shapes() == []
    found = owner_api.get(address(owner_api)).json()
    assert (found["architecture"], found["unknown"], found["factor"]) == ("llama", "", 1.0)
    assert found["predicted"]["cache"] == 4 * 4096 * 23_040
    assert (
        found["expected"]
        == found["predicted"]["total"]
        == sum(found["predicted"][part] for part in ("weights", "cache", "buffers"))
    )
    more = owner_api.get(address(owner_api), {"context": 8192, "slots": 1}).json()
    assert more["predicted"]["cache"] == 8192 * 23_040
    assert owner_api.get(address(owner_api), {"context": "many"}).status_code == 400
    assert owner_api.get(address(owner_api), {"context": 1 << 60}).status_code == 400


def test_what_a_node_took_is_noted_shown_and_corrects(
    owner: Person, stranger_api: APIClient, owner_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    joined = join(owner)
    read_shapes()
    says(valkey, joined, loaded(version, 600 * MIB))
    reconcile_replicas()
    # What it grows by afterwards is the cache of prompts, which makes room when it is needed.
    says(valkey, joined, loaded(version, 900 * MIB))
    reconcile_replicas()
    found = owner_api.get(address(owner_api), {"context": 512}).json()
    (measured,) = found["measured"]
    assert (measured["node_name"], measured["measured"], measured["context"], measured["slots"]) == (
        *("gpu-1", 600 * MIB),
        *(512, 4),
    )
    assert found["factor"] == pytest.approx(600 * MIB / measured["predicted"])
    assert found["expected"] == 600 * MIB
    larger = owner_api.get(address(owner_api)).json()
    assert larger["expected"] == round(larger["predicted"]["total"] * found["factor"])
    of_node = f"/api/v1/nodes/{joined.node.id}/memory"
    (row,) = owner_api.get(of_node).json()
    assert (row["model"], row["measured"]) == ("smol:1", 600 * MIB)
    assert row["difference_percent"] == pytest.approx(100 * (row["predicted"] / (600 * MIB) - 1), abs=0.1)
    assert stranger_api.get(of_node).status_code == 404
    # Loaded otherwise, it is measured anew.
    says(valkey, joined, loaded(version, 700 * MIB, context_length=2048))
    reconcile_replicas()
    (row,) = owner_api.get(of_node).json()
    assert (row["context"], row["measured"]) == (2048, 700 * MIB)


def test_a_process_on_gpus_does_not_say_what_it_takes(
    owner: Person, owner_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    joined = join(owner)
    says(valkey, joined, loaded(version, 1), gpus=[Gpu(0, "H200", memory_total=9, memory_used=1)], gpu_note=None)
    reconcile_replicas()
    assert owner_api.get(f"/api/v1/nodes/{joined.node.id}/memory").json() == []

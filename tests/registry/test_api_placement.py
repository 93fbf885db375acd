"""The plan of what should be in which memory, over the API: what it is made of, and that reading it does nothing."""

from __future__ import annotations

import uuid

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.node import Joined
from cluster.models import Node
from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.shapes import read_shapes
from models_registry.models import Version
from ollamamax.bus import keys
from ollamamax.contract import ModelState, OpenRequest, encode_json
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel import ids
from ollamamax.metering.models import UsageRecord
from tests import smollm
from tests.cast import Person, make_key, with_key
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)
GIB = 1 << 30
ADDRESS = "/api/v1/placement"


@pytest.fixture
def version(owner: Person, publish: Publish) -> Version:
    made = publish(owner, "smol:1", file=smollm.path())
    read_shapes()
    return made


def heard(valkey: redis.Redis, joined: Joined, version: Version, state: str, **more: object) -> None:
    model = ModelState(version.digest, "smol:1", state, "llamacpp", size=1, **more)  # type: ignore[arg-type]
    says(valkey, joined, model, memory_total=8 * GIB, memory_used=GIB)
    with every_tenant():
        Node.objects.filter(pk=joined.node.pk).update(lifecycle=Node.Lifecycle.READY, last_seen_at=timezone.now())


def ran(person: Person, version: Version, seconds: float) -> None:
    """Requests of the last minutes that took so long together."""
    with tenant_scope(person.tenant):
        UsageRecord.objects.create(
            request=ids.uuid7(),
            tenant_id=person.tenant.id,
            key=uuid.uuid4(),
            model="smol:1",
            version=version.digest,
            node_name="",
            api="/v1/chat/completions",
            trace="",
            received_at=timezone.now(),
            prompt_tokens=1,
            completion_tokens=1,
            duration_ms=seconds * 1000,
            outcome="ok",
        )


def test_what_is_asked_for_is_to_be_loaded_where_it_fits(
    owner: Person, owner_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    first, second = join(owner, "gpu-1"), join(owner, "gpu-2")
    heard(valkey, first, version, "ready")
    heard(valkey, second, version, "ready")
    assert owner_api.get(ADDRESS).json()["steps"] == []
    ran(owner, version, 3000.0)  # five at once, in ten minutes
    found = owner_api.get(ADDRESS).json()
    assert {(each["verb"], each["model"], each["node_name"]) for each in found["steps"]} == {
        ("load", "smol:1", "gpu-1"),
        ("load", "smol:1", "gpu-2"),
    }
    # Weights, the cache of 4 slots x 4,096 tokens, and the process: about 517 MiB.
    assert all(0.4 * GIB < each["bytes"] < 0.6 * GIB for each in found["steps"])
    assert found["cost_bytes"] == sum(each["bytes"] for each in found["steps"])
    for node in found["nodes"]:
        assert (node["used_before"], node["before"], node["takes"]) == (0, [], True)
        assert [each["model"] for each in node["after"]] == ["smol:1"]
        assert node["memory"] == int(7 * GIB - 0.05 * 8 * GIB)
    # It was a dry run.
    assert valkey.llen(keys.node_queue(first.node.id.hex)) == 0
    assert owner_api.get(ADDRESS).json()["steps"] == found["steps"]


def test_what_waits_counts_and_a_node_that_takes_nothing_gets_nothing(
    owner: Person, owner_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    joined = join(owner)
    heard(valkey, joined, version, "ready")
    waits = OpenRequest("r", "g", owner.tenant.id.hex, "k", "smol:1", version.digest, "/v1", "", 1.0, 1.0)
    valkey.hset(keys.OPEN, "r", encode_json(waits))
    (step,) = owner_api.get(ADDRESS).json()["steps"]
    assert step["reason"] == "it is asked for and in no memory"
    with every_tenant():
        Node.objects.filter(pk=joined.node.pk).update(schedulable=False)
    found = owner_api.get(ADDRESS).json()
    assert found["steps"] == []
    (short,) = found["shortages"]
    assert (short["model"], short["replicas"], short["demand"]) == ("smol:1", 0, 1.0)
    assert short["why"] == "no node that may run it, and takes requests, has a copy"


def test_terms_keep_replicas_in_memory_and_what_is_idle_is_to_leave(
    owner: Person, owner_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    joined = join(owner)
    heard(valkey, joined, version, "loaded", memory=GIB, context_length=4096, slots=4)
    (step,) = owner_api.get(ADDRESS).json()["steps"]
    assert (step["verb"], step["bytes"], step["reason"]) == ("unload", GIB, "nobody has asked for it lately")
    (model,) = owner_api.get("/api/v1/models").json()["results"]
    terms = f"/api/v1/models/{model['id']}/replication"
    assert owner_api.put(terms, {"least_loaded": 1}, format="json").status_code == 200
    assert owner_api.get(ADDRESS).json()["steps"] == []
    assert owner_api.put(terms, {"least_loaded": 2, "most_loaded": 1}, format="json").status_code == 400
    # When it was last loaded is known from then on.
    assert owner_api.delete(terms).status_code == 204
    reconcile_replicas()
    assert owner_api.get(ADDRESS).json()["steps"] == []


def test_another_tenant_and_who_may_not_manage_nodes_see_nothing_of_it(
    owner: Person, stranger_api: APIClient, anonymous_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    heard(valkey, join(owner), version, "loaded", memory=1)
    found = stranger_api.get(ADDRESS).json()
    assert (found["steps"], found["nodes"], found["shortages"]) == ([], [], [])
    assert anonymous_api.get(ADDRESS).status_code == 401
    assert with_key(make_key(owner, permissions=["model.view", "node.view"]).text).get(ADDRESS).status_code == 403
    assert len(with_key(make_key(owner, permissions=["node.manage"]).text).get(ADDRESS).json()["nodes"]) == 1

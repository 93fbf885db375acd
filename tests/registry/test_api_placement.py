"""The plan of what should be in which memory, over the API: what it is made of, that reading it does nothing, and how it is carried out."""

from __future__ import annotations

import base64
import json
import uuid

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.node import Joined
from cluster.models import Node
from models_registry.actions.loading import carry_on_placements
from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.shapes import read_shapes
from models_registry.models import Version
from ollamamax.audit.models import AuditRecord
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
    # It stays there, however long the test takes.
    valkey.persist(keys.node_state(joined.node.id.hex))
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


def tasks(valkey: redis.Redis, joined: Joined) -> list[tuple[str, dict[str, object]]]:
    """What the node is asked, with its arguments."""
    found = []
    for message in valkey.lrange(keys.node_queue(joined.node.id.hex), 0, -1):
        told = json.loads(message)
        arguments = json.loads(base64.b64decode(told["body"]))[1]
        found.append((told["headers"]["task"].partition(".")[2], arguments))
    return found


def trail(person: Person) -> list[tuple[str, str]]:
    return list(
        AuditRecord.objects.filter(chain=person.tenant.id.hex, action__startswith="placement.")
        .order_by("seq")
        .values_list("action", "actor_kind")
    )


def test_a_plan_is_applied_as_it_was_seen_and_gone_on_with_until_nothing_is_left(
    owner: Person, owner_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    first, second = join(owner, "gpu-1"), join(owner, "gpu-2")
    heard(valkey, first, version, "loaded", memory=GIB, context_length=4096, slots=4)
    heard(valkey, second, version, "ready")
    seen = owner_api.get(ADDRESS).json()
    assert (seen["automatic"], seen["applying"]) == (False, False)
    assert carry_on_placements() == 0, "nobody said that it should be carried out"
    assert owner_api.post(f"{ADDRESS}/apply", {"plan": "another"}, format="json").status_code == 409
    assert owner_api.post(f"{ADDRESS}/apply", {}, format="json").status_code == 400
    assert tasks(valkey, first) == []
    done = owner_api.post(f"{ADDRESS}/apply", {"plan": seen["plan"]}, format="json").json()
    assert [(each["verb"], each["node_name"]) for each in done["asked"]] == [("unload", "gpu-1")]
    assert tasks(valkey, first) == [("unload_model", {"version": version.digest, "name": "smol:1"})]
    # Asked a moment ago, it is not asked again.
    assert carry_on_placements() == 0
    # From here on it is asked for: what there is to do by now is done.
    ran(owner, version, 60.0)
    heard(valkey, first, version, "ready")
    assert owner_api.get(ADDRESS).json()["applying"] is True
    valkey.delete(keys.placement_asked(first.node.id.hex, version.digest))
    assert carry_on_placements() == 1
    loads = [each for each in (*tasks(valkey, first), *tasks(valkey, second)) if each[0] == "load_model"]
    assert [arguments for _, arguments in loads] == [{"version": version.digest, "name": "smol:1", "keep_alive": -1.0}]
    heard(valkey, first, version, "loaded", memory=GIB, context_length=4096, slots=4)
    assert carry_on_placements() == 0
    assert owner_api.get(ADDRESS).json()["applying"] is False
    assert [action for action, _ in trail(owner)] == ["placement.apply", "placement.step"]


def test_it_is_carried_out_by_itself_where_the_terms_say_so_and_only_there(
    owner: Person, stranger: Person, owner_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    joined, other = join(owner), join(stranger)
    heard(valkey, joined, version, "loaded", memory=GIB, context_length=4096, slots=4)
    heard(valkey, other, version, "loaded", memory=GIB, context_length=4096, slots=4)
    assert carry_on_placements() == 0
    assert owner_api.put("/api/v1/replication", {"automatic": True}, format="json").status_code == 200
    assert owner_api.get(ADDRESS).json()["automatic"] is True
    assert carry_on_placements() == 1
    assert carry_on_placements() == 0
    assert [name for name, _ in tasks(valkey, joined)] == ["unload_model"]
    assert tasks(valkey, other) == []
    assert trail(stranger) == []
    (model,) = owner_api.get("/api/v1/models").json()["results"]
    refused = owner_api.put(f"/api/v1/models/{model['id']}/replication", {"automatic": True}, format="json")
    assert refused.status_code == 400


def test_what_was_applied_can_be_stopped_and_others_apply_nothing(
    owner: Person, owner_api: APIClient, stranger_api: APIClient, join: Join, version: Version, valkey: redis.Redis
) -> None:
    joined = join(owner)
    heard(valkey, joined, version, "loaded", memory=GIB, context_length=4096, slots=4)
    plan = owner_api.get(ADDRESS).json()["plan"]
    assert stranger_api.post(f"{ADDRESS}/apply", {"plan": plan}, format="json").status_code == 409
    reader = with_key(make_key(owner, permissions=["model.view", "node.view"]).text)
    assert reader.post(f"{ADDRESS}/apply", {"plan": plan}, format="json").status_code == 403
    assert owner_api.post(f"{ADDRESS}/apply", {"plan": plan}, format="json").status_code == 200
    assert owner_api.delete(f"{ADDRESS}/apply").status_code == 204
    valkey.delete(keys.placement_asked(joined.node.id.hex, version.digest))
    assert carry_on_placements() == 0
    assert [action for action, _ in trail(owner)] == ["placement.apply", "placement.stop"]

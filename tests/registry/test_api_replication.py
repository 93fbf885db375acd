"""Terms of replication over the API, the plan that follows from them, and what nodes are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.node import Joined
from cluster.models import Node
from models_registry import publication
from models_registry.actions.placement import LastPlan, plan_replication
from models_registry.actions.replica import reconcile_replicas
from models_registry.models import Replica, Version
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract import ModelState
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def model(owner_api: APIClient, owner: Person, publish: Publish) -> Callable[[], str]:
    publish(owner)

    def address() -> str:
        (found,) = owner_api.get("/api/v1/models").json()["results"]
        return f"/api/v1/models/{found['id']}"

    return address


@pytest.fixture
def nodes(owner: Person, join: Join, valkey: redis.Redis) -> list[Joined]:
    found = [join(owner, name) for name in ("gpu-1", "gpu-2", "gpu-3")]
    heard(found)
    return found


def heard(nodes: list[Joined]) -> None:
    with every_tenant():
        Node.objects.filter(pk__in=[each.node.pk for each in nodes]).update(last_seen_at=timezone.now())


def asked(valkey: redis.Redis, joined: Joined) -> list[str]:
    return [
        json.loads(each)["headers"]["task"].partition(".")[2]
        for each in valkey.lrange(keys.node_queue(joined.node.id.hex), 0, -1)
    ]


def wanted() -> dict[str, str]:
    with every_tenant():
        return {row.node.name: row.desired for row in Replica.objects.select_related("node")}


def test_terms_are_read_with_an_etag_and_changed_by_who_may(
    model: Callable[[], str], owner_api: APIClient, member_api: APIClient, stranger_api: APIClient
) -> None:
    address = f"{model()}/replication"
    before = owner_api.get(address)
    assert before.json()["own"] is False
    assert before.json()["terms"]["least"] is None
    given: dict[str, Any] = {
        "least": 2,
        "most": 3,
        "labels": {"gpu": "h100"},
        "spread": "rack",
        "window_from": 60,
        "window_until": 300,
    }
    assert stranger_api.put(address, given, format="json").status_code == 404
    assert member_api.put(address, given, format="json").status_code == 403
    after = owner_api.put(address, given, format="json", HTTP_IF_MATCH=before["ETag"])
    assert after.status_code == 200, after.content
    assert {key: after.json()["terms"][key] for key in given} == given
    assert owner_api.put(address, given, format="json", HTTP_IF_MATCH=before["ETag"]).status_code == 412
    assert owner_api.put(address, given, format="json", HTTP_IF_MATCH=after["ETag"]).status_code == 200
    assert AuditRecord.objects.filter(action="model.replicate").count() == 1, "the second changed nothing"
    assert owner_api.delete(address).status_code == 204
    assert owner_api.get(address).json()["own"] is False


@pytest.mark.parametrize(
    "terms",
    [{"least": 3, "most": 2}, {"most": 1}, {"window_from": 5}, {"quota_bytes": 5}, {"least": -1}, {"bytes_per_second": 1}, {"nonsense": 1}],
)  # fmt: skip
def test_terms_that_cannot_be_are_refused(
    model: Callable[[], str], owner_api: APIClient, terms: dict[str, Any]
) -> None:
    assert owner_api.put(f"{model()}/replication", terms, format="json").status_code == 400


def test_so_many_nodes_are_asked_as_the_terms_say_and_others_let_go_when_enough_are_whole(
    model: Callable[[], str], owner_api: APIClient, nodes: list[Joined], valkey: redis.Redis
) -> None:
    for joined in nodes:
        says(valkey, joined)
    owner_api.put(f"{model()}/replication", {"least": 1, "most": 1}, format="json")
    assert plan_replication() == 1
    reconcile_replicas()
    (chosen,) = [joined for joined in nodes if asked(valkey, joined)]
    assert asked(valkey, chosen) == ["fetch_version"]
    with every_tenant():
        version = Version.objects.get()
        assert Replica.objects.get().reason == "there are fewer copies than there should be"
    assert plan_replication() == 0
    has = ModelState(version.digest, "tiny:1b", "ready", "llamacpp", size=1)
    for joined in nodes:
        says(valkey, joined, has)
    reconcile_replicas()
    assert plan_replication() == 2, "two have it that nobody asked"
    last = LastPlan()
    assert [plan_replication(last=last) for _ in range(2)] == [0, 0]
    assert sorted(wanted().values()) == ["absent", "absent", "held"]
    reconcile_replicas()
    assert sum(asked(valkey, joined)[-1:] == ["remove_version"] for joined in nodes) == 2
    (copies,) = owner_api.get(f"{model()}/replication").json()["copies"]
    assert (copies["wanted"], copies["ready"], copies["shortage"]) == (1, 1, "")


def test_the_tenants_terms_count_for_models_without_their_own_and_its_quota_for_all(
    model: Callable[[], str], owner: Person, owner_api: APIClient, nodes: list[Joined], valkey: redis.Redis
) -> None:
    before = owner_api.get("/api/v1/replication")
    assert (
        owner_api.put("/api/v1/replication", {"least": 2}, format="json", HTTP_IF_MATCH=before["ETag"]).status_code
        == 200
    )
    assert plan_replication() == 2
    assert owner_api.get(f"{model()}/replication").json()["terms"]["least"] == 2
    owner_api.put("/api/v1/replication", {"least": 2, "quota_bytes": 1}, format="json")
    owner_api.put(f"{model()}/replication", {"least": 3}, format="json")
    assert plan_replication() == 0
    (copies,) = owner_api.get(f"{model()}/replication").json()["copies"]
    assert copies["shortage"] == "2 of 3 copies: there is no room on the nodes that may have it."


def test_the_rate_of_transfers_is_published_with_the_blobs(model: Callable[[], str], owner_api: APIClient) -> None:
    assert {entry.rate for entry in publication.blobs().values()} == {None}
    owner_api.put("/api/v1/replication", {"bytes_per_second": 900_000}, format="json")
    assert {entry.rate for entry in publication.blobs().values()} == {900_000}
    owner_api.put(f"{model()}/replication", {"bytes_per_second": 100_000}, format="json")
    assert {entry.rate for entry in publication.blobs().values()} == {100_000}
    owner_api.put("/api/v1/replication", {"region_bytes_per_second": 5_000_000}, format="json")
    assert {(entry.rate, entry.region_rate) for entry in publication.blobs().values()} == {(100_000, 5_000_000)}


def test_without_terms_every_node_has_it_again(
    model: Callable[[], str], owner_api: APIClient, nodes: list[Joined], valkey: redis.Redis
) -> None:
    owner_api.put(f"{model()}/replication", {"least": 1}, format="json")
    plan_replication()
    owner_api.delete(f"{model()}/replication")
    for joined in nodes:
        says(valkey, joined)
    reconcile_replicas()
    assert all(asked(valkey, joined) == ["fetch_version"] for joined in nodes)


def test_a_transfer_that_was_stopped_is_not_begun_again_until_it_may(
    model: Callable[[], str],
    owner: Person,
    owner_api: APIClient,
    member_api: APIClient,
    nodes: list[Joined],
    valkey: redis.Redis,
) -> None:
    with tenant_scope(owner.tenant):
        version = Version.objects.get()
    joined = nodes[0]
    says(
        valkey,
        joined,
        ModelState(version.digest, "tiny:1b", "fetching", "llamacpp", size=9, bytes_done=3, bytes_per_second=2.0),
    )
    reconcile_replicas()
    address = f"{model()}/replicas/{joined.node.id}"
    (row,) = owner_api.get(model()).json()["replicas"]
    assert (row["bytes_done"], row["bytes_per_second"], row["paused"]) == (3, 2.0, False)
    assert member_api.post(f"{address}/pause").status_code == 403
    assert owner_api.post(f"{address}/pause").json()["paused"] is True
    assert asked(valkey, joined)[:1] == ["stop_fetch"]
    says(valkey, joined)
    reconcile_replicas()
    assert "fetch_version" not in asked(valkey, joined)
    assert owner_api.post(f"{address}/resume").json()["paused"] is False
    reconcile_replicas()
    assert "fetch_version" in asked(valkey, joined)

"""`PATCH /api/v1/nodes/{id}`: sharing, region, labels, cost. Draining: `test_api_nodes`."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.node import Joined, change_node
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys, publication, regions
from ollamamax.contract.tables import Registered
from ollamamax.kernel.errors import InvalidRequest
from tests.cast import Person, logged_in, make_person
from tests.cluster.conftest import Join

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN: dict[str, Any] = {
    "region": "eu-west-1",
    "labels": {"gpu": "h200", "pool/a": ""},
    "hourly_cost": 2.5,
    "taints": ["gpu=h200:no_schedule"],
}


def patch(api: APIClient, joined: Joined, **body: Any) -> Any:
    return api.patch(f"/api/v1/nodes/{joined.node.id}", body, format="json")


def told(valkey: redis.Redis, joined: Joined) -> Registered:
    value = valkey.hget(keys.directory("nodes"), joined.node.id.hex)
    assert value is not None
    return msgspec.json.decode(value, type=Registered)


def actions(joined: Joined) -> list[str]:
    found = AuditRecord.objects.filter(target_id=joined.node.id.hex).order_by("seq")
    return list(found.values_list("action", flat=True))


def test_what_an_owner_says_of_a_node_is_kept_and_told(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    changed = patch(owner_api, joined, **GIVEN).json()
    assert {name: changed[name] for name in GIVEN} == GIVEN
    expected = Registered(owner.tenant.id.hex, "gpu-1", lifecycle="joining", **GIVEN)
    assert told(valkey, joined) == expected
    valkey.flushall()
    publication.repair_lost(regions.own())
    assert told(valkey, joined) == expected
    cleared: dict[str, Any] = {"labels": {}, "hourly_cost": None, "taints": []}
    assert patch(owner_api, joined, **cleared).json()["region"] == "eu-west-1"
    assert told(valkey, joined) == Registered(owner.tenant.id.hex, "gpu-1", region="eu-west-1", lifecycle="joining")
    assert patch(owner_api, joined, **cleared).status_code == 200
    assert actions(joined) == ["node.join", "node.change", "node.change"]


def test_several_changes_at_once_are_one_record(owner: Person, owner_api: APIClient, join: Join) -> None:
    joined = join(owner)
    assert patch(owner_api, joined, schedulable=False, region="a").json()["schedulable"] is False
    assert actions(joined) == ["node.join", "node.change"]
    assert AuditRecord.objects.get(action="node.change").detail == {"schedulable": False, "region": "a"}


def test_only_the_operators_nodes_are_shared(
    owner: Person, owner_api: APIClient, operator: Person, operator_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    own, operators = join(owner), join(operator)
    assert patch(owner_api, own, shared=True).status_code == 403
    assert patch(owner_api, own, shared=False).json()["shared"] is False
    assert told(valkey, own).shared is False
    assert patch(owner_api, operators, shared=True).status_code == 403
    assert patch(owner_api, operators, shared=False).status_code == 404
    member = logged_in(make_person(operator.tenant, "m", "member"))
    assert patch(member, operators, shared=True).status_code == 403
    assert patch(operator_api, own, shared=True).status_code == 404
    assert patch(operator_api, operators, shared=True).json()["shared"] is True
    assert told(valkey, operators).shared is True
    # Shared is not shown: a tenant lists its own nodes.
    assert [node["id"] for node in owner_api.get("/api/v1/nodes").json()["results"]] == [str(own.node.id)]


def test_a_node_serves_the_tenants_in_its_list(
    owner: Person, stranger: Person, operator: Person, owner_api: APIClient, operator_api: APIClient, join: Join,
    valkey: redis.Redis,
) -> None:  # fmt: skip
    own, operators = join(owner), join(operator)
    ids = sorted([str(owner.tenant.id), str(stranger.tenant.id)])
    shown = patch(operator_api, operators, access=[*ids, ids[0].replace("-", "").upper()]).json()
    assert (sorted(shown["access"]), shown["shared"]) == (ids, False)
    entry = told(valkey, operators)
    assert (entry.access, entry.shared) == ([each.replace("-", "") for each in ids], False)
    assert [entry.serves(each) for each in (owner.tenant.id.hex, operator.tenant.id.hex, "f" * 32)] == [
        True,
        True,
        False,
    ]
    # Everybody, in the words of this release and of the one before.
    for body in ({"access": ["*", ids[0]]}, {"shared": True}):
        shown = patch(operator_api, operators, **body).json()
        assert (shown["access"], shown["shared"]) == (["*"], True)
        assert told(valkey, operators).serves("f" * 32)
    assert patch(operator_api, operators, shared=False).json()["access"] == []
    assert not told(valkey, operators).serves("f" * 32)
    bad: list[Any] = [[str(own.node.id)], ["acme"], "*", [None], {}]
    for access in bad:
        assert patch(operator_api, operators, access=access).status_code == 400
    assert patch(operator_api, operators, access=[], shared=True).status_code == 400
    assert patch(owner_api, own, access=ids).status_code == 403
    assert patch(owner_api, operators, access=ids).status_code in {403, 404}
    assert patch(owner_api, own, access=[]).json()["access"] == []


def test_strangers_and_members_describe_nothing(
    owner: Person, stranger_api: APIClient, member_api: APIClient, anonymous_api: APIClient, join: Join
) -> None:
    joined = join(owner)
    assert patch(stranger_api, joined, region="x").status_code == 404
    assert patch(member_api, joined, region="x").status_code == 403
    assert patch(anonymous_api, joined, region="x").status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"region": "EU"}', "region"),
        ('{"region": null}', "region"),
        (json.dumps({"region": "a" * 64}), "region"),
        ('{"labels": "gpu"}', "labels"),
        ('{"labels": null}', "labels"),
        ('{"labels": ["gpu"]}', "labels"),
        ('{"labels": {"gpu": {"a": 1}}}', "labels"),
        ('{"labels": {"gpu": "a\\u0000b"}}', "labels"),
        (json.dumps({"labels": {"gpu": "x" * 256}}), "labels"),
        ('{"hourly_cost": -1}', "hourly_cost"),
        ('{"hourly_cost": "nan"}', "hourly_cost"),
        ('{"hourly_cost": "dear"}', "hourly_cost"),
        ('{"shared": "perhaps"}', "shared"),
        ('{"name": "other"}', "name"),
        ('{"tenant": "x"}', "tenant"),
    ],
)
def test_a_wrong_field_is_named(owner: Person, owner_api: APIClient, join: Join, body: str, field: str) -> None:
    answer = owner_api.patch(f"/api/v1/nodes/{join(owner).node.id}", body, content_type="application/json")
    assert answer.status_code == 400
    assert field in {path.split(".")[0] for path in answer.json()["fields"]}


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"": "x"}},
        {"labels": {"a b": "x"}},
        {"labels": {"a\x00": "x"}},
        {"labels": {"x" * 64: "x"}},
        {"labels": {"a": "x\ny"}},
        {"labels": {f"l{i}": "x" for i in range(33)}},
        {"taints": ["gpu=h200"]},
        {"taints": ["gpu=h200:evict"]},
        {"taints": ["=h200:no_schedule"]},
        {"taints": ["gpu\n:no_schedule"]},
        {"taints": ["gpu:no_schedule"] * 2},
        {"taints": [f"t{i}:no_schedule" for i in range(33)]},
        {"hourly_cost": float("nan")},
        {"region": "a\n"},
    ],
)
def test_what_cannot_be_is_refused(owner: Person, owner_api: APIClient, join: Join, change: Any) -> None:
    joined = join(owner)
    with pytest.raises(InvalidRequest):
        change_node(acting=owner.acting, node_id=joined.node.id, change=change)
    if "labels" in change or "taints" in change:
        assert patch(owner_api, joined, **change).status_code == 400
    assert actions(joined) == ["node.join"]


def test_as_many_labels_as_may_be(owner: Person, owner_api: APIClient, join: Join) -> None:
    labels = {f"l{i}": "é" * 255 for i in range(32)}
    assert patch(owner_api, join(owner), labels=labels).json()["labels"] == labels

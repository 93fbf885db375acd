"""A node's state in the API, the directory and the audit trail, as nodes fall silent, come back, and are ordered about."""

from __future__ import annotations

import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.lifecycle import FollowedNodes, follow_nodes
from cluster.lifecycle.hearing import LOST_AFTER
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract.tables import NODES as TABLE
from tests.cast import Person
from tests.cluster.conftest import Join, says

pytestmark = pytest.mark.django_db(transaction=True)
NODES = "/api/v1/nodes"


def test_a_node_joins_serves_is_lost_and_is_back_with_each_change_audited_once(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    joined = join(owner)
    node = joined.node.id.hex
    where, followed, now = f"{NODES}/{joined.node.id}", FollowedNodes(), 0.0

    def state() -> str:
        shown = owner_api.get(where).json()["lifecycle"]
        told = valkey.hget(keys.directory(TABLE.name), node)
        assert TABLE.decode(told).lifecycle == shown, "the live page shows the same"
        return str(shown)

    def looks(seconds: int) -> None:
        nonlocal now
        for _ in range(seconds):
            now += 1.0
            follow_nodes(followed, now=now)

    looks(5)
    assert state() == "joining"
    says(valkey, joined)
    looks(1)
    assert state() == "ready"
    owner_api.patch(where, {"schedulable": False}, format="json")
    assert state() == "cordoned", "at once"
    valkey.sadd(keys.node_slots(node), "request")
    owner_api.patch(where, {"schedulable": False, "drain_seconds": 600}, format="json")
    looks(1)
    assert state() == "draining"
    valkey.delete(keys.node_slots(node))
    looks(1)
    assert state() == "cordoned", "nothing runs any more"
    valkey.delete(keys.node_state(node), keys.node_brief(node))
    looks(4)
    assert state() == "unreachable"
    owner_api.patch(where, {"schedulable": True}, format="json")
    assert state() == "unreachable"
    looks(int(LOST_AFTER) + 10)
    assert state() == "lost"
    assert [row["id"] for row in owner_api.get(NODES, {"lifecycle": "lost"}).json()["results"]] == [str(joined.node.id)]
    says(valkey, joined)
    looks(2)
    assert state() == "ready"
    steps = AuditRecord.objects.filter(target_id=node, action="node.follow").order_by("seq")
    assert [(each.detail["from"], each.detail["to"]) for each in steps] == [
        ("joining", "ready"),
        ("draining", "cordoned"),
        ("cordoned", "unreachable"),
        ("unreachable", "lost"),
        ("lost", "ready"),
    ]
    owner_api.delete(where)
    looks(2)
    assert AuditRecord.objects.get(target_id=node, action="node.remove").detail["state"] == "retired"


def test_a_controller_that_begins_leaves_what_it_finds_until_it_has_heard_for_itself(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    joined = join(owner)
    says(valkey, joined)
    follow_nodes(FollowedNodes(), now=1.0)
    valkey.delete(keys.node_state(joined.node.id.hex), keys.node_brief(joined.node.id.hex))
    for number in range(5):
        follow_nodes(FollowedNodes(), now=10.0 + number)
    assert owner_api.get(f"{NODES}/{joined.node.id}").json()["lifecycle"] == "ready"

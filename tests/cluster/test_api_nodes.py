"""`/api/v1/nodes`: list, look at, drain, resume, remove."""

from __future__ import annotations

import uuid

import pytest
import redis
from django.conf import settings
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from cluster import membership
from cluster.actions.node import remove_node
from cluster.reconcile import LastLook, observe_nodes
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys, publication, regions
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person
from tests.cluster.conftest import Join, says

pytestmark = pytest.mark.django_db(transaction=True)
NODES = "/api/v1/nodes"


def test_a_node_that_reports_is_shown_with_what_it_said(
    owner: Person, viewer_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    says(valkey, joined, running=3)
    (node,) = viewer_api.get(NODES).json()["results"]
    assert node["online"] is True
    assert node["telemetry"]["running"] == 3
    assert node["telemetry"]["gpu_note"] == "No GPU found."


def test_a_silent_node_has_no_telemetry(owner: Person, owner_api: APIClient, join: Join) -> None:
    joined = join(owner)
    node = owner_api.get(f"{NODES}/{joined.node.id}").json()
    assert (node["online"], node["telemetry"], node["last_seen_at"]) == (False, None, None)


def test_a_stranger_sees_and_changes_nothing(
    owner: Person, stranger_api: APIClient, anonymous_api: APIClient, member_api: APIClient, join: Join
) -> None:
    joined = join(owner)
    one = f"{NODES}/{joined.node.id}"
    assert stranger_api.get(NODES).json()["results"] == []
    assert stranger_api.get(one).status_code == 404
    assert stranger_api.patch(one, {"schedulable": False}, format="json").status_code == 404
    assert stranger_api.delete(one).status_code == 404
    assert member_api.patch(one, {"schedulable": False}, format="json").status_code == 403
    assert member_api.delete(one).status_code == 403
    assert anonymous_api.get(NODES).status_code == 401
    assert anonymous_api.get(one).status_code == 401


def test_the_list_takes_the_same_queries_for_one_node_and_for_many(
    owner: Person, key_api: APIClient, join: Join, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    join(owner, "gpu-0")
    with django_assert_num_queries(2):  # the key, the page
        key_api.get(NODES)
    for index in range(1, 5):
        join(owner, f"gpu-{index}")
    with django_assert_num_queries(2):
        assert len(key_api.get(NODES).json()["results"]) == 5


def test_draining_and_resuming_tell_the_data_plane_and_the_audit_trail(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    one = f"{NODES}/{joined.node.id}"
    assert owner_api.patch(one, {"schedulable": False}, format="json").json()["schedulable"] is False
    assert b'"schedulable":false' in (valkey.hget(keys.directory("nodes"), joined.node.id.hex) or b"")
    assert owner_api.patch(one, {"schedulable": False}, format="json").status_code == 200
    assert owner_api.patch(one, {"schedulable": True}, format="json").json()["schedulable"] is True
    assert owner_api.patch(one, {"schedulable": "maybe"}, format="json").status_code == 400
    assert owner_api.patch(one, {}, format="json").status_code == 400
    actions = AuditRecord.objects.filter(target_id=joined.node.id.hex).order_by("seq").values_list("action", flat=True)
    assert list(actions) == ["node.join", "node.cordon", "node.resume"]


def test_a_removed_node_is_locked_out_at_once(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    url = membership.redis_url(joined.node, joined.redis_password)
    with redis.Redis.from_url(url) as own:
        own.set(keys.node_state(joined.node.id.hex), b"x")
        valkey.rpush(keys.node_inbox(joined.node.id.hex), b"x")
        assert owner_api.delete(f"{NODES}/{joined.node.id}").status_code == 204
        with pytest.raises(redis.exceptions.RedisError):
            own.set(keys.node_state(joined.node.id.hex), b"x")
    assert valkey.hget(keys.directory("nodes"), joined.node.id.hex) is None
    assert valkey.exists(*keys.node_keys(joined.node.id.hex), keys.node_slots(joined.node.id.hex)) == 0
    assert owner_api.delete(f"{NODES}/{joined.node.id}").status_code == 404
    assert owner_api.get(f"{NODES}/{uuid.uuid4()}").status_code == 404


def test_the_loop_gives_a_node_what_this_version_grants(owner: Person, join: Join, valkey: redis.Redis) -> None:
    joined = join(owner)
    user = membership.redis_user(joined.node)
    valkey.execute_command("ACL", "SETUSER", user, "clearselectors")
    valkey.hset(keys.NODE_RIGHTS, user, "of a former version")
    inbox, claimed = keys.node_inbox(joined.node.id.hex), keys.node_claimed(joined.node.id.hex)
    with redis.Redis.from_url(membership.redis_url(joined.node, joined.redis_password)) as own:
        with pytest.raises(redis.exceptions.NoPermissionError):
            own.lmove(inbox, claimed)
        observe_nodes()
        assert own.lmove(inbox, claimed) is None


def test_on_a_server_that_became_the_primary_users_count_as_not_granted(
    owner: Person, join: Join, valkey: redis.Redis
) -> None:
    user = membership.redis_user(join(owner).node)
    named = "redis+sentinel://s1,s2,s3/bus/0"
    assert membership.granted(valkey, settings.REDIS_URL)[user]
    valkey.set(keys.NODE_RIGHTS_SERVER, "another one")
    assert membership.granted(valkey, named)[user] == ""
    observe_nodes()
    assert membership.granted(valkey, named)[user] == membership.granted(valkey, settings.REDIS_URL)[user] != ""


def test_the_loop_looks_again_when_a_user_or_a_node_is_gone_or_new_and_else_leaves_nodes_in_peace(
    owner: Person, join: Join, valkey: redis.Redis
) -> None:
    last = LastLook()

    def looks() -> list[int]:
        return [observe_nodes(last=last) for _ in range(2)]

    observe_nodes()  # users that an earlier test left go
    one = join(owner, "gpu-1")
    says(valkey, one)
    assert looks() == [1, 0]
    two = join(owner, "gpu-2")
    says(valkey, two)
    assert looks() == [2, 0]
    valkey.execute_command("ACL", "DELUSER", membership.redis_user(one.node))
    # Once to give it back, and once because what Redis has is then another thing than was seen.
    assert looks() == [2, 2]
    assert membership.redis_user(one.node) in membership.granted(valkey, settings.REDIS_URL)
    assert looks() == [0, 0]
    remove_node(acting=owner.acting, node_id=two.node.id)
    assert looks() == [1, 0]


def test_the_loop_repairs_what_redis_lost_and_notes_who_was_heard(
    owner: Person, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    valkey.flushall()
    valkey.execute_command("ACL", "DELUSER", membership.redis_user(joined.node))
    valkey.execute_command("ACL", "SETUSER", "node.ghost", "on", "nopass")
    says(valkey, joined)
    assert observe_nodes() == 1
    publication.repair_lost(regions.own())
    assert valkey.hget(keys.directory("nodes"), joined.node.id.hex) is not None
    assert membership.granted(valkey, settings.REDIS_URL) == {
        membership.redis_user(joined.node): membership.rights(joined.node.id.hex, joined.node.redis_password_hash)
    }
    with redis.Redis.from_url(membership.redis_url(joined.node, joined.redis_password)) as own:
        own.set(keys.node_state(joined.node.id.hex), b"x")
    with tenant_scope(owner.tenant):
        joined.node.refresh_from_db()
    assert joined.node.last_seen_at is not None
    assert joined.node.agent_version == "1.2.3"
    says(valkey, joined, at=1.0)
    observe_nodes()

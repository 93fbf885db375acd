"""Replicas are looked at where something has changed, and elsewhere a few in turn."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from cluster.actions.node import Joined
from cluster.models import Node
from models_registry.actions.name import copy_name
from models_registry.actions.replica import reconcile_replicas
from models_registry.models import Replica, Version
from models_registry.replication.changed import REPAIR_EACH, REPAIR_ROUNDS, ChangedNodes
from ollamamax.bus import keys
from ollamamax.contract import Engine, ModelState, StateBrief, encode_json, models_digest
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.cast import Person
from tests.cluster.conftest import Join
from tests.concurrency.test_identity import in_parallel
from tests.fakes.state import node_state
from tests.registry.conftest import Publish

ENGINES = [Engine("llamacpp", True, hosts_blobs=True)]


def briefs(**digests: str) -> dict[str, StateBrief]:
    return {node: StateBrief(node, "1", digest) for node, digest in digests.items()}


def settled(changes: ChangedNodes, said: dict[str, StateBrief], marks: dict[str, object]) -> None:
    changes.looked(said, marks, list(said), [])


def test_each_node_comes_in_its_turn_though_it_says_that_nothing_changed() -> None:
    said = briefs(**{f"n{number:04}": "same" for number in range(400)})
    tenants = dict.fromkeys(said, "t")
    marks: dict[str, object] = {"t": 1}
    changes = ChangedNodes()
    assert changes.pick(said, tenants, marks) == set(said), "none was looked at yet"
    settled(changes, said, marks)
    rounds = [changes.pick(said, tenants, marks) for _ in range(REPAIR_ROUNDS)]
    assert set().union(*rounds) == set(said)
    assert max(map(len, rounds)) <= 14
    assert sum(map(bool, rounds)) == REPAIR_ROUNDS // REPAIR_EACH, "together, in one round of ten"


def test_what_changed_is_looked_at_until_it_is_settled() -> None:
    said = briefs(a="1", b="1", c="")
    tenants = {"a": "t", "b": "u", "c": "u"}
    changes = ChangedNodes()
    changes._turn = 10
    settled(changes, said, {"t": 1, "u": 1})
    assert changes.pick(said, tenants, {"t": 1, "u": 1}) == {"c"}, "which tells no digest"
    assert changes.pick(briefs(a="1", b="2"), tenants, {"t": 1, "u": 1}) == {"b"}
    assert changes.pick(said, tenants, {"t": 2, "u": 1}) == {"a", "c"}, "its tenant has another name"
    assert changes.pick(said, tenants, {"u": 1}) == {"a", "c"}, "its tenant has none any more"
    changes.looked(said, {"t": 1, "u": 1}, ["a", "c"], ["a"])
    assert changes.pick(said, tenants, {"t": 1, "u": 1}) == {"a", "c"}, "it lacks something still"
    assert changes.pick(briefs(b="1"), tenants, {"t": 1, "u": 1}) == set(), "who is silent stays as they were"


def test_what_was_said_before_in_the_same_words_is_not_looked_through_again() -> None:
    said = briefs(a="1", b="1")
    tenants = dict.fromkeys(said, "t")
    marks: dict[str, object] = {"t": 1}
    changes = ChangedNodes()
    changes._turn = 10
    settled(changes, said, marks)
    assert [changes.pick(said, tenants, marks) for _ in range(3)] == [set()] * 3
    assert changes.pick(said, tenants, {"t": 2}) == {"a", "b"}
    changes.looked(said, {"t": 2}, ["a", "b"], ["b"])
    assert changes.pick(said, tenants, {"t": 2}) == {"b"}
    changes.looked(said, {"t": 2}, ["b"], [])
    assert changes.pick(said, tenants, {"t": 2}) == set()
    rounds = [changes.pick(said, tenants, {"t": 2}) for _ in range(REPAIR_ROUNDS)]
    assert set().union(*rounds) == set(said)


def test_a_digest_follows_what_is_kept_and_nothing_else() -> None:
    usual: dict[str, Any] = {"version": "sha256:" + "ab" * 32, "name": "m", "state": "loaded", "engine": "llamacpp"}
    before = models_digest([ModelState(**usual, expires_in=5.0, vram=1)], ENGINES)
    assert models_digest([ModelState(**usual, expires_in=4.0, vram=2)], ENGINES) == before
    for change in ({"state": "failed"}, {"bytes_done": 5}, {"error": "x"}, {"size": 9}, {"name": "other"}):
        assert models_digest([ModelState(**{**usual, **change})], ENGINES) != before
    assert models_digest([], ENGINES) != before


@pytest.mark.django_db(transaction=True)
def test_a_node_that_is_as_its_rows_say_has_none_of_them_locked(
    owner: Person,
    join: Join,
    publish: Publish,
    valkey: redis.Redis,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    version = publish(owner)
    joined = join(owner)
    says(valkey, joined, ModelState(version.digest, "tiny:1b", "loaded", "llamacpp", size=1))
    assert reconcile_replicas() == 1
    with CaptureQueriesContext(connection) as compared:
        assert reconcile_replicas() == 1
    assert not [query for query in compared if "FOR UPDATE" in query["sql"] or 'UPDATE "' in query["sql"]]
    changes = ChangedNodes()
    changes._turn = 10
    assert reconcile_replicas(changes=changes) == 1
    with django_assert_num_queries(3):
        assert reconcile_replicas(changes=changes) == 0
    says(valkey, joined, ModelState(version.digest, "tiny:1b", "loaded", "llamacpp", size=2))
    for change in ({"state": "failed", "error": "x"}, {"desired": "any"}, {"bytes_done": 7}):
        with every_tenant():
            Replica.objects.update(**change)
        reconcile_replicas()
        with every_tenant():
            row = Replica.objects.get()
        assert (row.state, row.bytes_done, row.error, row.desired) == ("ready", 2, "", "held")


def says(valkey: redis.Redis, joined: Joined, *models: ModelState) -> None:
    state = node_state(joined.node.id.hex, models=list(models), engines=ENGINES)
    state.models_digest = models_digest(state.models, state.engines)
    valkey.set(keys.node_state(state.node), encode_json(state))
    valkey.set(
        keys.node_brief(state.node), encode_json(StateBrief(state.node, state.agent_version, state.models_digest))
    )


@pytest.mark.django_db(transaction=True)
def test_a_node_that_was_locked_by_somebody_else_is_looked_at_again(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    version = publish(owner)
    joined = join(owner)
    changes = ChangedNodes()
    changes._turn = 10
    says(valkey, joined, ModelState(version.digest, "tiny:1b", "loaded", "llamacpp", size=1))
    locked, looked = threading.Event(), threading.Event()

    def lock() -> None:
        with tenant_scope(owner.tenant), transaction.atomic():
            Node.objects.select_for_update().get(pk=joined.node.pk)
            locked.set()
            assert looked.wait(20)

    def look() -> int:
        assert locked.wait(20)
        try:
            return reconcile_replicas(changes=changes)
        finally:
            looked.set()

    assert in_parallel(lock, look) == [None, 1]
    assert [reconcile_replicas(changes=changes) for _ in range(2)] == [1, 0]
    with tenant_scope(owner.tenant):
        assert Replica.objects.get().state == Replica.State.READY


@pytest.mark.django_db(transaction=True)
def test_a_change_of_one_node_is_written_and_the_others_are_left_in_peace(
    owner: Person, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    version = publish(owner)
    joined = join(owner)
    changes = ChangedNodes()
    changes._turn = 10

    def model(state: Any) -> ModelState:
        return ModelState(version.digest, "tiny:1b", state, "llamacpp", size=1)

    says(valkey, joined, model("fetching"))
    assert reconcile_replicas(changes=changes) == 1
    assert reconcile_replicas(changes=changes) == 0
    says(valkey, joined, model("loaded"))
    assert reconcile_replicas(changes=changes) == 1
    with tenant_scope(owner.tenant):
        assert Replica.objects.get().state == Replica.State.READY
    assert reconcile_replicas(changes=changes) == 0
    copy_name(acting=owner.acting, source="tiny:1b", destination="tiny:copy")
    assert reconcile_replicas(changes=changes) == 1
    assert reconcile_replicas(changes=changes) == 0
    with tenant_scope(owner.tenant):
        made = Version.objects.create(
            tenant_id=owner.tenant.id, digest="sha256:" + "cd" * 32, source=Version.Source.HOSTED,
            manifest={"name": "tiny:made"}, size=1, details={},
        )  # fmt: skip
    assert reconcile_replicas(changes=changes) == 1, "there is another version"
    assert not valkey.exists(keys.fetch_asked(joined.node.id.hex, made.digest)), "which nobody wants yet"
    valkey.set(keys.version_made(owner.tenant.id.hex, made.digest), b"1", ex=60)
    assert reconcile_replicas(changes=changes) == 1, "a job waits for a node that has it"
    assert valkey.exists(keys.fetch_asked(joined.node.id.hex, made.digest))
    valkey.delete(keys.version_made(owner.tenant.id.hex, made.digest))
    says(valkey, joined)
    assert [reconcile_replicas(changes=changes) for _ in range(3)] == [1, 1, 1], "it lacks the version until it has it"

"""Nodes are cordoned, drained with a deadline, and asked for their log."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
import redis
from django.db import connection
from rest_framework.test import APIClient

from cluster.actions import node_log
from cluster.actions.drain import end_drains
from ollamamax import contract
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract.node_log import LogLine, NodeLog, encode_node_log
from tests.cast import Person
from tests.cluster.conftest import Join

pytestmark = pytest.mark.django_db(transaction=True)
NODES = "/api/v1/nodes"


def test_a_cordoned_node_takes_no_new_work_and_has_no_deadline_a_draining_one_has(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    node = join(owner).node
    where = f"{NODES}/{node.id}"

    def change(**body: Any) -> Any:
        return owner_api.patch(where, body, format="json")

    cordoned = change(schedulable=False).json()
    assert (cordoned["schedulable"], cordoned["drain"]) == (False, None)
    drained = change(schedulable=False, drain_seconds=600).json()
    assert drained["drain"]["running"] is None
    assert drained["drain"]["until"] > drained["drain"]["since"]
    assert change(schedulable=False).json()["drain"] is None
    change(schedulable=False, drain_seconds=0)
    resumed = change(schedulable=True).json()
    assert (resumed["schedulable"], resumed["drain"]) == (True, None)
    assert change(schedulable=True, drain_seconds=5).status_code == 400
    assert change(drain_seconds=5).status_code == 400
    assert change(schedulable=False, drain_seconds=-1).status_code == 400
    actions = AuditRecord.objects.filter(target_id=node.id.hex, action__startswith="node.").order_by("seq")
    told = [each.action for each in actions][-5:]
    assert told == ["node.cordon", "node.drain", "node.cordon", "node.drain", "node.resume"]


def test_at_the_deadline_the_node_is_told_to_let_go_of_what_runs_and_not_before(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    node = join(owner).node
    with valkey.pubsub() as control:
        control.subscribe(keys.node_control(node.id.hex))
        control.get_message(timeout=5)
        owner_api.patch(f"{NODES}/{node.id}", {"schedulable": False, "drain_seconds": 0}, format="json")
        assert end_drains() == 0, "it runs nothing"
        valkey.sadd(keys.node_slots(node.id.hex), "request")
        assert end_drains() == 1
        message = control.get_message(ignore_subscribe_messages=True, timeout=5)
        assert contract.decode_control(message["data"]).verb == "evict"
        owner_api.patch(f"{NODES}/{node.id}", {"schedulable": False, "drain_seconds": 600}, format="json")
        assert end_drains() == 0


def test_a_log_is_asked_of_the_node_by_who_manages_it_and_told_of_once(
    owner_api: APIClient,
    member_api: APIClient,
    stranger_api: APIClient,
    join: Join,
    owner: Person,
    valkey: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_log, "ANSWER_SECONDS", 5.0)
    node = join(owner).node
    where = f"{NODES}/{node.id}/log"
    assert member_api.get(where).status_code == 403
    assert stranger_api.get(where).status_code == 404
    assert owner_api.get(where).status_code == 503, "nobody listens"
    answers = [encode_node_log(NodeLog("engine", "b", [LogLine(7, "loaded")])), b"nonsense"]
    sessions: list[tuple[int] | None] = []
    with valkey.pubsub() as control:
        control.subscribe(keys.node_control(node.id.hex))
        control.get_message(timeout=5)

        def tell() -> None:
            for answer in answers:
                message = None
                while message is None:
                    message = control.get_message(ignore_subscribe_messages=True, timeout=5)
                asked = contract.decode_control(message["data"])
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
                    )
                    sessions.append(cursor.fetchone())
                connection.close()
                assert (asked.verb, asked.source, asked.seq) == ("log", "engine", 6)
                valkey.publish(keys.log_answer(node.id.hex, asked.ticket), answer)

        thread = threading.Thread(target=tell)
        thread.start()
        told = owner_api.get(where, {"part": "engine", "after": "6"})
        assert told.json()["lines"] == [{"number": 7, "text": "loaded"}]
        assert owner_api.get(where, {"part": "engine", "after": "6"}).status_code == 503
        thread.join()
    assert sessions == [(1,), (1,)], (
        "who waits for a node holds no connection to Postgres: this one is that of who counts"
    )
    read = AuditRecord.objects.filter(action="node.read_log").order_by("seq")
    assert [each.detail["source"] for each in read] == ["agent", "engine"]


def test_so_many_logs_are_read_at_once_and_no_more(
    owner_api: APIClient, join: Join, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them holds a thread of the process for as long as the node likes."""
    node = join(owner).node
    where = f"{NODES}/{node.id}/log"
    monkeypatch.setitem(node_log._readers, owner.tenant.id, node_log.TENANT_AT_ONCE)
    assert owner_api.get(where).status_code == 429
    monkeypatch.delitem(node_log._readers, owner.tenant.id)
    monkeypatch.setitem(node_log._readers, uuid.uuid4(), node_log.AT_ONCE)
    assert owner_api.get(where).status_code == 429
    node_log._readers.clear()
    assert owner_api.get(where).status_code == 503
    assert not node_log._readers

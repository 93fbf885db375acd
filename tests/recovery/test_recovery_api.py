"""The playbook in the API: begun by who manages nodes where no guard rail forbids it, carried on by the loop, stopped by a button, and audited throughout."""

from __future__ import annotations

import datetime
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import redis
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions import recovery
from cluster.actions.node import Joined
from cluster.actions.recovery import carry_on
from cluster.models import Incident, Node
from cluster.recovery.playbook import CALM_SECONDS
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract import Engine, ModelState, NodeState, encode_json
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.cast import Person
from tests.cluster.conftest import Join
from tests.patience import LONG

pytestmark = pytest.mark.django_db(transaction=True)
VERSION = "sha256:" + "ab" * 32


def _says(valkey: redis.Redis, joined: Joined, running: int = 0) -> None:
    node = joined.node
    state = NodeState(
        node=node.id.hex, tenant=node.tenant_id.hex, boot="b", seq=1, at=0.0, agent_version="1", tokens_per_second=0.0, cpu_percent=0.0,
        cpu_count=1, disk_used=0, disk_total=1, network_received_per_second=0.0, network_sent_per_second=0.0, waiting=0, memory_used=0,
        memory_total=10, capacity=4, running=running, engines=[Engine("llamacpp", True)], models=[ModelState(VERSION, "m", "loaded", "llamacpp")],
    )  # fmt: skip
    valkey.set(keys.node_state(node.id.hex), encode_json(state))
    with every_tenant():
        Node.objects.filter(pk=node.id).update(lifecycle="ready")


def _incident(joined: Joined) -> str:
    node = joined.node
    told = {"key": node.id.hex, "kind": "slow", "about": "node", "severity": "warning", "text": "It is slow."}
    with tenant_scope(node.tenant_id):
        made = Incident.objects.create(tenant_id=node.tenant_id, subject_id=node.id.hex, subject_name=node.name, **told)
    return f"/api/v1/incidents/{made.pk}"


def _serves(joined: Joined) -> bool:
    with every_tenant():
        return Node.objects.get(pk=joined.node.id).schedulable


def _over(where: str, seconds: float) -> None:
    with every_tenant():
        Incident.objects.filter(pk=where.rpartition("/")[2]).update(
            closed_at=timezone.now() - datetime.timedelta(seconds=seconds)
        )


def test_a_node_is_set_aside_until_its_incident_is_over_and_takes_requests_again(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    sick, well = join(owner), join(owner, name="gpu-2")
    _says(valkey, sick)
    _says(valkey, well)
    where = _incident(sick)
    assert owner_api.get(where).json()["recoverable"] is True
    begun = owner_api.post(f"{where}/recovery").json()["recovery"]
    assert (begun["step"], begun["state"], begun["seconds"]) == ("quarantine", "running", None)
    assert owner_api.post(f"{where}/recovery").status_code == 409, "one at a time"
    seen = []
    for _ in range(3):
        carry_on()
        seen.append(owner_api.get(where).json()["recovery"]["step"])
    assert (seen, _serves(sick)) == (["drain", "verify", "verify"], False)
    _over(where, CALM_SECONDS + 1)
    assert (carry_on(), carry_on(), carry_on()) == (1, 1, 0)
    ended = owner_api.get(where).json()
    assert (ended["recovery"]["state"], _serves(sick)) == ("done", True)
    assert ended["recovery"]["seconds"] >= 0
    assert [each["what"] for each in ended["timeline"]] == ["recovery_began", *["recovery_step"] * 3, "recovery_done"]
    trail = AuditRecord.objects.filter(chain=owner.tenant.id.hex).order_by("seq").values_list("action", flat=True)
    assert [each for each in trail if each.startswith(("incident.", "node."))][2:] == [
        *("incident.recover", "node.drain", "incident.recovery", "incident.recovery", "incident.recovery"),
        *("node.resume", "incident.recovery"),
    ]


@pytest.mark.parametrize("steps", range(3))
def test_the_stop_button_puts_the_node_back_whatever_step_it_is_at(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis, steps: int
) -> None:
    sick, well = join(owner), join(owner, name="gpu-2")
    _says(valkey, sick)
    _says(valkey, well)
    where = _incident(sick)
    owner_api.post(f"{where}/recovery")
    for _ in range(steps):
        carry_on()
    stopped = owner_api.delete(f"{where}/recovery").json()["recovery"]
    assert (stopped["state"], _serves(sick)) == ("stopped", True)
    assert owner.acting.name in stopped["why"]
    assert carry_on() == 0
    assert owner_api.delete(f"{where}/recovery").status_code == 200, "done twice it is done once"
    assert owner_api.post(f"{where}/recovery").status_code == 200, "and it may begin again"


def test_a_run_ends_where_somebody_lets_the_node_take_requests_or_takes_it_out(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    nodes = [join(owner), join(owner, name="gpu-2"), join(owner, name="gpu-3")]
    for joined in nodes:
        _says(valkey, joined)
    resumed, removed = _incident(nodes[0]), _incident(nodes[1])
    for each in (resumed, removed):
        assert owner_api.post(f"{each}/recovery").status_code == 200
        carry_on()
    owner_api.patch(f"/api/v1/nodes/{nodes[0].node.id}", {"schedulable": True}, format="json")
    owner_api.delete(f"/api/v1/nodes/{nodes[1].node.id}")
    carry_on()
    ends = [owner_api.get(each).json()["recovery"] for each in (resumed, removed)]
    assert [each["state"] for each in ends] == ["stopped", "stopped"]
    assert _serves(nodes[0])


def test_guard_rails_look_at_what_is_so_now(
    owner_api: APIClient, member_api: APIClient, stranger_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    sick, well = join(owner), join(owner, name="gpu-2")
    _says(valkey, sick, running=3)
    where = _incident(sick)
    refused = owner_api.post(f"{where}/recovery")
    assert (refused.status_code, "No other node" in refused.content.decode()) == (409, True)
    _says(valkey, well, running=2)
    assert "too few free slots" in owner_api.post(f"{where}/recovery").content.decode()
    assert member_api.post(f"{where}/recovery").status_code == 403
    assert stranger_api.post(f"{where}/recovery").status_code in (403, 404)
    assert stranger_api.delete(f"{where}/recovery").status_code in (403, 404)
    _says(valkey, well, running=1)
    assert owner_api.post(f"{where}/recovery").status_code == 200


def test_a_run_that_was_begun_takes_its_node_out_of_what_the_next_one_counts_on(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    """Both begin before the loop has told the first node: each alone would have the other to go to."""
    nodes = [join(owner), join(owner, name="gpu-2")]
    for joined in nodes:
        _says(valkey, joined, running=2)
    where = [_incident(joined) for joined in nodes]
    assert owner_api.post(f"{where[0]}/recovery").status_code == 200
    assert "No other node" in owner_api.post(f"{where[1]}/recovery").content.decode()
    third = join(owner, name="gpu-3")
    _says(valkey, third, running=1)
    assert "too few free slots" in owner_api.post(f"{where[1]}/recovery").content.decode(), "3 are free, and 4 come"
    _says(valkey, third)
    assert owner_api.post(f"{where[1]}/recovery").status_code == 200
    assert carry_on() == 2
    assert [_serves(each) for each in (*nodes, third)] == [False, False, True]


def test_a_node_whose_taints_keep_the_requests_away_is_no_other_node(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    sick, well = join(owner), join(owner, name="gpu-2")
    _says(valkey, sick)
    _says(valkey, well)
    where = _incident(sick)
    _taint(well, "only=batches:no_schedule")
    assert "No other node" in owner_api.post(f"{where}/recovery").content.decode()
    _taint(sick, "only=batches:no_schedule")
    assert owner_api.post(f"{where}/recovery").status_code == 200, "what runs there tolerates it"


def _taint(joined: Joined, *taints: str) -> None:
    with every_tenant():
        Node.objects.filter(pk=joined.node.id).update(taints=list(taints))


def test_a_controller_that_was_frozen_before_it_told_the_node_tells_it_nothing_later(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile another one carries the run to its end: then nobody would ever let the node take requests again."""
    sick, well = join(owner), join(owner, name="gpu-2")
    _says(valkey, sick)
    _says(valkey, well)
    where = _incident(sick)
    assert owner_api.post(f"{where}/recovery").status_code == 200
    _over(where, CALM_SECONDS + 1)
    tell, others, first = recovery._tell, ThreadPoolExecutor(1), [True]
    meanwhile: list[Future[None]] = []

    def frozen(*args: Any, **kwargs: Any) -> None:
        if first and first.pop():
            meanwhile.append(others.submit(_carry_to_the_end))
            while not meanwhile[0].done() and not _somebody_waits_for_a_lock():
                pass
        tell(*args, **kwargs)

    monkeypatch.setattr(recovery, "_tell", frozen)
    carry_on()
    meanwhile[0].result(LONG)
    others.shutdown()
    monkeypatch.undo()
    _carry_to_the_end()
    assert (owner_api.get(where).json()["recovery"]["state"], _serves(sick)) == ("done", True)


def _carry_to_the_end() -> None:
    try:
        while carry_on():
            pass
    finally:
        connection.close()


def _somebody_waits_for_a_lock() -> bool:
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        found = other.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s",
            [connection.settings_dict["NAME"]],
        )
        return found.fetchone() is not None

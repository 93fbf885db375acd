"""Experiments in the API: described, begun, stopped and deleted by who may, carried on by the loop, ordered by keys that lapse, audited throughout."""

from __future__ import annotations

import datetime
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import redis
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.experiment import carry_on_experiments
from cluster.actions.node import Joined
from cluster.experiments.plan import advance
from cluster.models import Experiment, ExperimentRun, Node
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract import ModelState
from ollamamax.contract.experiment import FaultOrder, FaultState, decode_fault_order
from ollamamax.identity.scope import every_tenant
from ollamamax.metering.models import UsageRecord
from tests.cast import Person, logged_in
from tests.cluster.conftest import Join, says

pytestmark = pytest.mark.django_db(transaction=True)
LEASE = 3600.0
MODEL = ModelState("sha256:" + "ab" * 32, "tiny:1b", "loaded", "llamacpp")


@pytest.fixture(autouse=True)
def orders_that_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than any of these tests takes on a machine that is busy."""
    monkeypatch.setattr("cluster.actions.experiment.FAULT_LEASE", LEASE)


def told(valkey: redis.Redis, joined: Joined, **changes: Any) -> None:
    says(valkey, joined, MODEL, **{"faults": ["engine_freeze"], **changes})
    valkey.persist(keys.node_state(joined.node.id.hex))
    with every_tenant():
        Node.objects.filter(pk=joined.node.id).update(lifecycle="ready")


@pytest.fixture
def pair(join: Join, owner: Person, valkey: redis.Redis) -> tuple[Joined, Joined]:
    nodes = join(owner), join(owner, name="gpu-2")
    for each in nodes:
        told(valkey, each)
    return nodes


def described(*nodes: Joined, **changes: Any) -> dict[str, Any]:
    return {
        "name": "freeze", "fault": "engine_freeze", "nodes": [str(each.node.id) for each in nodes], "seconds": 60, "repeats": 1,
        "hypothesis": {"failed_share": 0.1}, **changes,
    }  # fmt: skip


def made(api: APIClient, *nodes: Joined, **changes: Any) -> str:
    answer = api.post("/api/v1/experiments", described(*nodes, **changes), format="json")
    assert answer.status_code == 201, answer.json()
    assert answer.json()["nodes"] == [str(each.node.id) for each in nodes]
    return f"/api/v1/experiments/{answer.json()['id']}"


def order_of(valkey: redis.Redis, joined: Joined) -> FaultOrder | None:
    data: Any = valkey.get(keys.node_fault(joined.node.id.hex))
    return None if data is None else decode_fault_order(data)


def passed(seconds: float) -> None:
    """As if the run had come to where it is so much earlier."""
    with every_tenant():
        for run in ExperimentRun.objects.all():
            plan = run.plan
            plan["step_at"] -= seconds
            plan["phases"] = [
                phase | {name: phase[name] - seconds for name in ("began_at", "ended_at") if phase.get(name)}
                for phase in plan["phases"]
            ]
            ExperimentRun.objects.filter(pk=run.pk).update(plan=plan)


def requests(tenant: Any, outcome: str, count: int, phase: int = -1) -> None:
    """That came half a second after the phase began."""
    with every_tenant():
        at = ExperimentRun.objects.latest("began_at").plan["phases"][phase]["began_at"] + 0.5
        for _ in range(count):
            UsageRecord.objects.create(
                request=uuid.uuid4(), tenant=tenant, key=uuid.uuid4(), model="tiny:1b", version="", node=None, node_name="", api="", trace="",
                received_at=datetime.datetime.fromtimestamp(at, datetime.UTC), prompt_tokens=1, completion_tokens=1, duration_ms=1.0, outcome=outcome,
                first_token_ms=None if outcome == "failed" else 20.0,
            )  # fmt: skip


def trail(person: Person) -> list[str]:
    found = AuditRecord.objects.filter(chain=person.tenant.id.hex).order_by("seq").values_list("action", flat=True)
    return [each for each in found if each.startswith("experiment.")]


def test_a_run_orders_the_fault_for_its_phase_alone_and_reports_what_usage_records_say(
    owner_api: APIClient, pair: tuple[Joined, Joined], owner: Person, valkey: redis.Redis
) -> None:
    where = made(owner_api, pair[0], every_hours=24)
    begun = owner_api.post(f"{where}/runs").json()
    assert (begun["state"], begun["step"], begun["report"]) == ("running", "control", None)
    assert owner_api.post(f"{where}/runs").status_code == 409, "one at a time"
    assert owner_api.delete(where, HTTP_IF_MATCH="*").status_code == 409, "it runs"
    carry_on_experiments(fence=7)
    assert order_of(valkey, pair[0]) is None, "a phase without the fault"
    passed(61)
    carry_on_experiments(fence=7)
    carry_on_experiments(fence=7)
    order = order_of(valkey, pair[0])
    assert order is not None
    assert (order.fault, order_of(valkey, pair[1])) == ("engine_freeze", None)
    assert 0 < valkey.pttl(keys.node_fault(pair[0].node.id.hex)) <= LEASE * 1000, "it lapses with its controller"
    told(valkey, pair[0], fault=FaultState(order.id, "engine_freeze", "on"))
    carry_on_experiments(fence=7)
    passed(61)
    carry_on_experiments(fence=7)
    assert order_of(valkey, pair[0]) is None, "taken back"
    told(valkey, pair[0], fault=FaultState(order.id, "engine_freeze", "over"))
    carry_on_experiments(fence=7)
    passed(20)
    requests(owner.tenant, "ok", 9, phase=0)
    requests(owner.tenant, "ok", 7, phase=1)
    requests(owner.tenant, "failed", 1, phase=1)
    assert (carry_on_experiments(fence=7), carry_on_experiments(fence=7)) == (1, 0)
    run = owner_api.get(f"{where}/runs").json()["results"][0]
    assert (run["state"], run["why"], run["report"]["verdict"]) == ("done", "", "broken")
    assert run["report"]["judged"] == [
        {"figure": "failed_share", "allowed": 0.1, "measured": 0.125, "verdict": "broken"}
    ]
    counted = [(phase["figures"]["requests"], phase["figures"]["lost_before_token"]) for phase in run["phases"]]
    assert counted == [(9, 0), (8, 1)]
    assert [phase["kind"] for phase in run["phases"]] == ["control", "fault"]
    assert run["phases"][1]["held"] is True
    assert run["report"]["failed_share"]["mean"] == 0.125
    assert run["report"]["failed_share"]["low"] is None, "one pair tells nothing of the next"
    assert owner_api.get(where).json()["last_verdict"] == run["report"]["verdict"]
    assert trail(owner) == ["experiment.create", "experiment.run", "experiment.fault", "experiment.end"]
    assert owner_api.delete(where, HTTP_IF_MATCH="*").status_code == 204
    assert owner_api.get(f"{where}/runs").status_code == 404


def test_the_stop_button_an_abort_condition_and_a_deposed_controller_leave_nothing_broken(
    owner_api: APIClient, pair: tuple[Joined, Joined], owner: Person, valkey: redis.Redis
) -> None:
    where = made(owner_api, pair[0])
    assert owner_api.post(f"{where}/stop").status_code == 409, "it does not run"
    for end in ("stop", "abort"):
        owner_api.post(f"{where}/runs")
        passed(61)
        carry_on_experiments(fence=8)
        assert order_of(valkey, pair[0]) is not None
        if end == "stop":
            assert owner_api.post(f"{where}/stop").json()["stopped_by"] == owner.acting.name
            assert owner_api.post(f"{where}/stop").status_code == 200, "done twice it is done once"
        else:
            requests(owner.tenant, "failed", 20)
        carry_on_experiments(fence=8)
        assert order_of(valkey, pair[0]) is None
    states = [run["state"] for run in owner_api.get(f"{where}/runs").json()["results"]]
    assert states == ["aborted", "stopped"]
    owner_api.post(f"{where}/runs")
    passed(61)
    carry_on_experiments(fence=7)
    assert order_of(valkey, pair[0]) is None, "a former leader's order is not written"


def test_nobody_runs_what_hosts_do_not_allow_what_would_leave_a_model_alone_or_what_is_another_tenants(
    owner_api: APIClient, pair: tuple[Joined, Joined], stranger: Person, member: Person, valkey: redis.Redis, join: Join
) -> None:
    where = made(owner_api, pair[0])
    told(valkey, pair[0], faults=[])
    refused = owner_api.post(f"{where}/runs")
    assert (refused.status_code, "does not allow" in refused.content.decode()) == (409, True)
    both = made(owner_api, *pair, name="both", at_once=2)
    told(valkey, pair[0])
    refused = owner_api.post(f"{both}/runs")
    assert (refused.status_code, "No other node" in refused.content.decode()) == (409, True)
    foreign = join(stranger, name="theirs")
    for body, status in (
        (described(foreign), 404),
        (described(pair[0], name="freeze"), 409),
        (described(pair[0], name="x", fault="network_cut"), 400),
        (described(pair[0], name="x", seconds=1e9), 400),
        (described(pair[0], name="x", seconds="5"), 400),
        (described(pair[0], name="x", hypothesis={}), 400),
        (described(pair[0], name="x", nodes=[]), 400),
    ):
        assert owner_api.post("/api/v1/experiments", body, format="json").status_code == status, body
    for who, status in ((stranger, 404), (member, 403)):
        api = logged_in(who)
        assert api.post(f"{where}/runs").status_code == status
        assert api.post(f"{where}/stop").status_code == status
    assert logged_in(member).get(where).status_code == 200, "who sees nodes sees their experiments"


def test_of_many_who_begin_it_at_once_one_does(
    owner_api: APIClient, pair: tuple[Joined, Joined], owner: Person
) -> None:
    where = made(owner_api, pair[0])

    def begin(_: int) -> int:
        try:
            return int(logged_in(owner).post(f"{where}/runs").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(begin, range(4))) == [201, 409, 409, 409]


def test_it_is_run_again_when_it_is_due_and_skipped_with_a_reason_where_it_may_not(
    owner_api: APIClient, pair: tuple[Joined, Joined], owner: Person, valkey: redis.Redis
) -> None:
    where = made(owner_api, pair[0])
    changed = owner_api.patch(where, {"every_hours": 24}, format="json", HTTP_IF_MATCH="*").json()
    assert changed["every_hours"] == 24

    def due() -> None:
        with every_tenant():
            Experiment.objects.update(next_at=timezone.now() - datetime.timedelta(seconds=1))
        carry_on_experiments()

    told(valkey, pair[0], faults=[])
    due()
    assert owner_api.get(f"{where}/runs").json()["results"] == []
    told(valkey, pair[0])
    due()
    (run,) = owner_api.get(f"{where}/runs").json()["results"]
    assert (run["state"], run["by_name"]) == ("running", "")
    assert owner_api.get(where).json()["next_at"] > timezone.now().isoformat()
    assert trail(owner) == ["experiment.create", "experiment.schedule", "experiment.skip", "experiment.run"]
    assert owner_api.patch(where, {"every_hours": None}, format="json", HTTP_IF_MATCH="*").json()["next_at"] is None


def test_a_run_that_was_decided_from_the_past_writes_nothing(
    owner_api: APIClient, pair: tuple[Joined, Joined], valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = made(owner_api, pair[0])
    owner_api.post(f"{where}/runs")
    passed(61)
    decided_by = "cluster.actions.experiment.advance"

    def while_another_does(*given: Any) -> Any:
        monkeypatch.setattr(decided_by, advance)
        carry_on_experiments(fence=2)
        return advance(*given)

    monkeypatch.setattr(decided_by, while_another_does)
    carry_on_experiments(fence=1)
    with every_tenant():
        plan = ExperimentRun.objects.get().plan
    order = order_of(valkey, pair[0])
    assert order is not None
    assert order.id == plan["phases"][1]["order"]
    assert len(plan["phases"]) == 2
    assert msgspec.json.encode(plan)

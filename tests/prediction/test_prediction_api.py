"""Predictions in the product: an incident with its evidence, proposed or acted on as the tenant has it, and said to have come true or not when it is over."""

from __future__ import annotations

import re

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions import prediction
from cluster.actions.incident import follow_incidents
from cluster.actions.node import Joined
from cluster.actions.prediction import act_on_predictions
from cluster.actions.recovery import carry_on
from cluster.models import Incident, Node
from cluster.prediction.outlook import NodeOutlook
from cluster.prediction.thresholds import DETECTORS
from cluster.prediction.warning import Watched, sign_of
from ollamamax.audit.models import AuditRecord
from ollamamax.contract.health import Counts, Finding, FleetHealth, NodeHealth
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.seldom import Seldom
from tests.cast import Person
from tests.cluster.conftest import Join
from tests.recovery.test_recovery_api import _says

pytestmark = pytest.mark.django_db(transaction=True)
INCIDENTS, PREDICTIONS = "/api/v1/incidents", "/api/v1/predictions"


@pytest.fixture(autouse=True)
def _at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "_seldom", Seldom(0.0))


def report(joined: Joined, *codes: str) -> dict[str, FleetHealth]:
    now = timezone.now().timestamp()
    measured = {"percent": 88.0, "percent_an_hour": 31.0, "over_minutes": 29}
    sign = sign_of(Watched(NodeOutlook("disk_full", "", 22.0, 25.0, 0.1, 1.0, dict(measured)), now, given_at=now))
    texts = {sign.code: (sign.text, sign.values)}
    found = [
        Finding(code, "warning", *texts.get(code, ("It is full.", {}))[:1], now, texts.get(code, ("", {}))[1])
        for code in codes
    ]
    nodes = {joined.node.id.hex: NodeHealth(joined.node.name, "degraded", found)} if found else {}
    return {joined.node.tenant_id.hex: FleetHealth(now, "degraded", Counts(), nodes)}


def serves(joined: Joined) -> bool:
    with every_tenant():
        return Node.objects.get(pk=joined.node.id).schedulable


def only_incident(api: APIClient, kind: str = "predicted_disk_full") -> dict[str, object]:
    [row] = api.get(INCIDENTS, {"kind": kind}).json()["results"]
    found: dict[str, object] = api.get(f"{INCIDENTS}/{row['id']}").json()
    return found


def test_a_prediction_is_an_incident_with_its_evidence_and_by_default_a_proposal(
    owner_api: APIClient, stranger_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    sick, well = join(owner), join(owner, name="gpu-2")
    _says(valkey, sick)
    _says(valkey, well)
    follow_incidents(report(sick, "predicted_disk_full"))
    found = only_incident(owner_api)
    assert re.search(
        r"likely to be full within 2\d min: it is 88\.0 % full, and \+31\.\d % come each hour", str(found["text"])
    )
    assert (found["recoverable"], found["recovery"], found["came_true"]) == (True, None, None)
    assert str(found["fails_before"]) > timezone.now().isoformat()
    assert found["evidence"][0]["values"]["likely_in_minutes"] in {21, 22, 23}  # type: ignore[index]
    assert (act_on_predictions(), serves(sick)) == (0, True)
    assert stranger_api.get(f"{INCIDENTS}/{found['id']}").status_code == 404
    assert owner_api.post(f"{INCIDENTS}/{found['id']}/recovery").status_code == 200, "the proposal's button"
    carry_on()
    assert not serves(sick)


@pytest.mark.parametrize(("act", "drains"), [("cordon", False), ("drain", True)])
def test_a_tenant_that_has_it_so_has_the_node_set_aside_once_and_audited(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis, act: str, drains: bool
) -> None:
    sick, well = join(owner), join(owner, name="gpu-2")
    _says(valkey, sick)
    follow_incidents(report(sick, "predicted_disk_full"))
    assert owner_api.patch(PREDICTIONS, {"acts": {"disk_full": act}}, format="json").status_code == 200
    for _ in range(2):
        assert act_on_predictions() == 0
    found = only_incident(owner_api)
    refused = [each["text"] for each in found["timeline"] if each["what"] == "not_set_aside"]  # type: ignore[attr-defined]
    assert refused == ["No other node that takes requests has m."], "a guard rail, told once"
    _says(valkey, well)
    assert (act_on_predictions(), act_on_predictions()) == (1, 0)
    carry_on()
    with every_tenant():
        node = Node.objects.get(pk=sick.node.id)
        assert (node.schedulable, node.drain_until is not None) == (False, drains)
    begun = AuditRecord.objects.filter(chain=owner.tenant.id.hex, action="incident.recover").order_by("seq")
    assert [each.actor_id for each in begun] == ["prediction"]
    assert only_incident(owner_api)["recovery"]["by"] == "prediction"  # type: ignore[index]


@pytest.mark.parametrize(("comes", "told"), [(True, "It came true."), (False, "It did not come true.")])
def test_when_it_is_over_it_is_said_whether_it_came_true(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis, comes: bool, told: str
) -> None:
    sick = join(owner)
    follow_incidents(report(sick, "predicted_disk_full"))
    if comes:
        follow_incidents(report(sick, "predicted_disk_full", "disk_full"))
    follow_incidents(report(sick))
    found = only_incident(owner_api)
    assert (found["state"], found["came_true"]) == ("closed", comes)
    assert found["timeline"][-1]["text"] == told  # type: ignore[index]
    closed = AuditRecord.objects.filter(chain=owner.tenant.id.hex, action="incident.close")
    assert {each.detail["kind"]: each.detail.get("came_true") for each in closed}["predicted_disk_full"] is comes


def test_what_is_done_is_each_tenants_own_and_chosen_by_who_manages_nodes(
    owner_api: APIClient, member_api: APIClient, stranger_api: APIClient, owner: Person
) -> None:
    found = owner_api.get(PREDICTIONS).json()["detectors"]
    assert [each["detector"] for each in found] == list(DETECTORS)
    assert {each["act"] for each in found} == {"propose"}
    changed = owner_api.patch(PREDICTIONS, {"acts": {"gpu_hot": "drain"}}, format="json").json()["detectors"]
    assert [each["detector"] for each in changed if each["act"] == "drain"] == ["gpu_hot"]
    assert {each["act"] for each in stranger_api.get(PREDICTIONS).json()["detectors"]} == {"propose"}
    assert member_api.patch(PREDICTIONS, {"acts": {"gpu_hot": "cordon"}}, format="json").status_code == 403
    for wrong in ({"gpu_hot": "explode"}, {"fortune": "drain"}, "drain", [1], {"gpu_hot": None}):
        assert owner_api.patch(PREDICTIONS, {"acts": wrong}, format="json").status_code == 400
    owner_api.patch(PREDICTIONS, {"acts": {"gpu_hot": "drain"}}, format="json")
    records = AuditRecord.objects.filter(chain=owner.tenant.id.hex, action="prediction.change")
    assert [each.detail for each in records] == [{"before": {"gpu_hot": "propose"}, "after": {"gpu_hot": "drain"}}]
    with every_tenant():
        assert Incident.objects.count() == 0

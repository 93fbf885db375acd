"""Incidents in the API: opened and closed by what is judged, acknowledged and silenced by people, seen by their tenant alone."""

from __future__ import annotations

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.incident import follow_incidents
from cluster.models import Incident
from dashboard.queries.trail import incident_rows
from ollamamax.audit.models import AuditRecord
from ollamamax.contract.health import Counts, Finding, FleetHealth, NodeHealth, Severity
from ollamamax.identity.scope import every_tenant
from tests.cast import Person
from tests.cluster.conftest import Join

pytestmark = pytest.mark.django_db(transaction=True)
INCIDENTS = "/api/v1/incidents"


def report(node: str, *severities: Severity, at: float | None = None) -> FleetHealth:
    found = [Finding("disk_full", each, f"Its disk is full: {each}.", 1.0, {"percent": 99.0}) for each in severities]
    now = timezone.now().timestamp() if at is None else at
    return FleetHealth(now, "degraded", Counts(), {node: NodeHealth("gpu-1", "degraded", found)} if found else {})


def told(tenant: str) -> list[str]:
    records = AuditRecord.objects.filter(chain=tenant, action__startswith="incident.").order_by("seq")
    return [each.action.removeprefix("incident.") for each in records]


def test_an_incident_begins_once_becomes_worse_is_looked_after_and_closes_by_itself(
    owner_api: APIClient, member_api: APIClient, stranger_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    node, tenant = join(owner).node.id.hex, owner.tenant.id.hex
    assert follow_incidents({tenant: report(node, "warning")}) == 1
    for _ in range(3):
        assert follow_incidents({tenant: report(node, "warning")}) == 0, "no duplicates"
    assert follow_incidents({tenant: report(node, "critical")}) == 1
    [row] = owner_api.get(INCIDENTS).json()["results"]
    where = f"{INCIDENTS}/{row['id']}"
    assert (row["state"], row["kind"], row["severity"], row["subject_name"]) == (
        "open",
        "disk_full",
        "critical",
        "gpu-1",
    )
    assert owner_api.get(INCIDENTS, {"state": "closed"}).json()["results"] == []
    assert member_api.post(f"{where}/acknowledge").status_code == 403
    for _ in range(2):
        assert owner_api.post(f"{where}/acknowledge").json()["acknowledged_by"] == owner.acting.name
    for api, path in (
        (stranger_api, where),
        (stranger_api, f"{where}/acknowledge"),
        (stranger_api, f"{where}/silence"),
    ):
        answer = api.get(path) if path == where else api.post(path, {"seconds": 1}, format="json")
        assert answer.status_code == 404
    shown = incident_rows(tenant)
    assert (shown.open, shown.incidents[0].acknowledged_by) == (1, owner.acting.name)
    assert follow_incidents({tenant: report(node, at=1.0)}) == 0, "a report that is old closes nothing"
    assert follow_incidents({tenant: report(node)}) == 1
    ended = owner_api.get(where).json()
    assert (ended["state"], ended["requests_hit"], ended["tenants_hit"]) == ("closed", 0, 0)
    assert [each["what"] for each in ended["timeline"]] == ["opened", "worse", "acknowledged", "closed"]
    assert told(tenant) == ["open", "escalate", "acknowledge", "close"]
    assert follow_incidents({tenant: report(node, "warning")}) == 1
    assert owner_api.get(where).json()["reopened"] == 1


def test_while_an_incident_is_silenced_nobody_is_told_of_its_course_and_afterwards_they_are(
    owner_api: APIClient, join: Join, owner: Person, valkey: redis.Redis
) -> None:
    node, tenant = join(owner).node.id.hex, owner.tenant.id.hex
    follow_incidents({tenant: report(node, "warning")})
    where = f"{INCIDENTS}/{owner_api.get(INCIDENTS).json()['results'][0]['id']}"
    assert owner_api.post(f"{where}/silence", {"seconds": -1}, format="json").status_code == 400
    assert owner_api.post(f"{where}/silence", {"seconds": 600}, format="json").json()["silenced_until"] is not None
    follow_incidents({tenant: report(node, "critical")})
    follow_incidents({tenant: report(node)})
    assert told(tenant) == ["open", "silence"]
    assert [each["what"] for each in owner_api.get(where).json()["timeline"]] == [
        "opened",
        "silenced",
        "worse",
        "closed",
    ]
    owner_api.post(f"{where}/silence", {"seconds": 0}, format="json")
    follow_incidents({tenant: report(node, "warning")})
    assert told(tenant) == ["open", "silence", "silence", "reopen"]
    with every_tenant():
        assert Incident.objects.count() == 1

"""Events stand in the transaction of what they tell of: every record of the audit trail, and every finding, is told once and in order."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone

from models_registry.models import Job
from ollamamax.audit.actions import record
from ollamamax.audit.models import AuditRecord
from ollamamax.contract.health import Counts, Finding, FleetHealth, NodeHealth
from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.tenant import create_tenant
from ollamamax.identity.scope import tenant_scope
from ollamamax.notifications.actions.fan_out import SLICE, fan_out
from ollamamax.notifications.actions.health import watch_findings
from ollamamax.notifications.actions.webhook import change_webhook, create_webhook, send_test_event
from ollamamax.notifications.events import GROUPS, HEALTH
from ollamamax.notifications.models import WebhookDelivery, WebhookEvent
from tests.architecture.code import ROOT, modules
from tests.cast import SYSTEM, Person, make_key, secret_part

pytestmark = pytest.mark.django_db(transaction=True)
URL = "https://hooks.example.com/omx"


def hook(person: Person, *events: str) -> Any:
    return create_webhook(acting=person.acting, url=URL, events=events or ["*"])[0]


def told(person: Person) -> list[dict[str, Any]]:
    with tenant_scope(person.tenant):
        return [json.loads(body) for body in WebhookEvent.objects.order_by("at", "id").values_list("body", flat=True)]


def test_what_was_done_is_told_to_who_wants_it_and_to_nobody_else(owner: Person, stranger: Person) -> None:
    hook(owner, "key.*")
    quiet = hook(owner, "node.join")
    hook(stranger, "*")
    key = make_key(owner, name="ci")
    fan_out()
    [event] = told(owner)
    assert event["type"] == "key.issue"
    assert event["tenant"] == owner.tenant.id.hex
    assert event["data"]["actor"] == {"kind": "user", "id": owner.user.id.hex, "name": owner.email}
    assert event["data"]["target"] == {"type": "key", "id": key.row.id.hex}
    assert event["data"]["detail"]["name"] == "ci"
    with tenant_scope(owner.tenant):
        assert WebhookDelivery.objects.filter(webhook=quiet).count() == 0
    assert {each["tenant"] for each in told(stranger)} == {stranger.tenant.id.hex}
    assert fan_out() == 0
    assert len(told(owner)) == 1


def test_what_is_rolled_back_is_not_told_and_what_is_committed_always_is(owner: Person) -> None:
    hook(owner, "key.*")

    def write(number: int, *, keep: bool) -> None:
        with transaction.atomic():
            record(
                acting=owner.acting,
                action="key.change",
                target_type="key",
                target_id=str(number),
                tenant=owner.tenant.id,
            )
            transaction.set_rollback(not keep)

    def many(start: int) -> None:
        try:
            for number in range(start, start + 20):
                write(number, keep=number % 3 != 0)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=many, args=(100 * each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        fan_out()  # meanwhile
    fan_out()
    expected = {str(n) for each in range(4) for n in range(100 * each, 100 * each + 20) if n % 3 != 0}
    found = [(each["data"]["seq"], each["data"]["target"]["id"]) for each in told(owner)]
    assert [seq for seq, _ in found] == sorted(seq for seq, _ in found)
    assert sorted(id_ for _, id_ in found) == sorted(expected)


def test_two_at_once_tell_everything_once(owner: Person) -> None:
    hook(owner, "key.*")
    for number in range(30):
        make_key(owner, name=f"key {number}")
    start = threading.Barrier(3)

    def run() -> None:
        try:
            start.wait(10)
            fan_out()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(told(owner)) == 30


def test_what_was_before_a_webhook_or_while_it_was_off_is_none_of_its(owner: Person) -> None:
    make_key(owner, name="before")
    webhook = hook(owner, "key.*")
    make_key(owner, name="told")
    fan_out()
    change_webhook(acting=owner.acting, webhook_id=webhook.id, enabled=False)
    make_key(owner, name="while off")
    change_webhook(acting=owner.acting, webhook_id=webhook.id, enabled=True)
    make_key(owner, name="told too")
    fan_out()
    assert [each["data"]["detail"]["name"] for each in told(owner)] == ["told", "told too"]


def test_only_the_operators_webhooks_hear_of_the_installation(owner: Person, operator: Person) -> None:
    hook(owner, "tenant.*")
    hook(operator, "tenant.*")
    create_tenant(acting=SYSTEM, slug="newcomer", name="Newcomer")
    fan_out()
    assert told(owner) == []
    [event] = told(operator)
    assert (event["tenant"], event["type"], event["data"]["detail"]["slug"]) == (None, "tenant.create", "newcomer")


def test_more_than_a_slice_is_told_in_one_run(owner: Person) -> None:
    hook(owner, "key.*")
    with transaction.atomic():
        for number in range(SLICE + 3):
            record(
                acting=owner.acting,
                action="key.change",
                target_type="key",
                target_id=str(number),
                tenant=owner.tenant.id,
            )
    fan_out()
    assert len(told(owner)) == SLICE + 3


def test_no_event_has_a_secret(owner: Person) -> None:
    hook(owner, "*")
    _, text = issue_key(acting=owner.acting, name="ci", permissions=["inference.use"])
    _, secret = create_webhook(acting=owner.acting, url=URL, events=["*"])
    fan_out()
    bodies = json.dumps(told(owner))
    assert "key.issue" in bodies
    assert secret_part(text) not in bodies
    assert secret.removeprefix("whsec_") not in bodies


def test_every_event_to_choose_from_is_recorded_somewhere() -> None:
    listed = {event for events in GROUPS.values() for event in events} - HEALTH
    text = "".join((ROOT / path).read_text() for path, _ in modules() if "actions" in path.parts)
    quoted = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', text)) | {f"job.{kind}" for kind in Job.Kind.values}
    assert listed - quoted == set()


# Health.


def report(*findings: Finding, node: str = "a" * 32, at: float | None = None) -> FleetHealth:
    return FleetHealth(
        at=timezone.now().timestamp() if at is None else at,
        state="degraded",
        counts=Counts(),
        nodes={node: NodeHealth("berlin-1", "degraded", list(findings))} if findings else {},
    )


def finding(code: str = "gpu_hot", severity: Any = "warning") -> Finding:
    return Finding(code, severity, "GPU 0 has 91 °C.", timezone.now().timestamp(), {"celsius": 91.0})


def test_a_finding_is_told_when_it_opens_changes_and_closes(owner: Person, stranger: Person) -> None:
    hook(owner, "health.*")
    tenant = owner.tenant.id.hex
    assert watch_findings({tenant: report(finding()), stranger.tenant.id.hex: report(finding())}) == 1
    assert watch_findings({tenant: report(finding())}) == 0
    assert watch_findings({tenant: report(finding(severity="critical"))}) == 1
    assert watch_findings({tenant: report(at=1.0)}) == 0, "a report that is not fresh says nothing"
    assert watch_findings({}) == 0
    assert watch_findings({tenant: report()}) == 1
    events = told(owner)
    assert [each["type"] for each in events] == ["health.opened", "health.changed", "health.closed"]
    first = events[0]["data"]
    assert first["subject"] == {"kind": "node", "id": "a" * 32, "name": "berlin-1", "region": ""}
    assert (first["code"], first["severity"], first["values"]) == ("gpu_hot", "warning", {"celsius": 91.0})
    assert told(stranger) == []


def test_regions_are_told_apart_and_the_control_plane_is_the_operators(operator: Person) -> None:
    hook(operator, "health.*")
    tenant = operator.tenant.id.hex
    both = {
        tenant: report(finding()),
        "": FleetHealth(timezone.now().timestamp(), "degraded", Counts(), findings=[finding("loop_late")]),
    }
    assert watch_findings(both, "eu") == 2
    assert watch_findings(both, "us") == 2
    assert watch_findings(both, "eu") == 0
    assert watch_findings({tenant: report(), "": report()}, "eu") == 2
    assert [each["data"]["subject"]["region"] for each in told(operator)] == ["eu", "eu", "us", "us", "eu", "eu"]


def test_who_listens_anew_hears_of_what_is_wrong_then(owner: Person) -> None:
    tenant = owner.tenant.id.hex
    webhook = hook(owner, "health.*")
    watch_findings({tenant: report(finding())})
    change_webhook(acting=owner.acting, webhook_id=webhook.id, enabled=False)
    watch_findings({tenant: report(finding())})
    change_webhook(acting=owner.acting, webhook_id=webhook.id, enabled=True)
    assert watch_findings({tenant: report(finding())}) == 1


def test_the_trail_has_what_is_told(owner: Person) -> None:
    """The list of events is of records that are there: the outbox is the audit trail."""
    hook(owner, "webhook.*")
    fan_out()
    [event] = told(owner)
    assert AuditRecord.objects.get(action="webhook.create").seq == event["data"]["seq"]


def test_a_test_event_is_for_the_one_it_was_asked_for(owner: Person) -> None:
    asked, other, all_ = hook(owner, "key.*"), hook(owner, "webhook.test"), hook(owner, "*")
    send_test_event(acting=owner.acting, webhook_id=asked.id)
    fan_out()
    with tenant_scope(owner.tenant):
        found = set(WebhookDelivery.objects.values_list("webhook", "event__type"))
    assert {each for each in found if each[0] == asked.id} == {(asked.id, "webhook.test")}
    assert not [each for each in found if each[0] == other.id]
    assert (all_.id, "webhook.test") not in found
    assert (all_.id, "webhook.send_test") in found

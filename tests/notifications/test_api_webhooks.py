"""`/api/v1/webhooks`: who sets them up, what they may be told of, and that their secrets are shown once."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity.actions.member import add_member
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.scope import tenant_scope
from ollamamax.notifications.actions.fan_out import fan_out
from ollamamax.notifications.models import Webhook, WebhookDelivery
from tests.cast import PASSWORD, SYSTEM, Key, Person, logged_in

pytestmark = pytest.mark.django_db(transaction=True)
HOOKS = "/api/v1/webhooks"
URL = "https://hooks.example.com/omx"


def create(api: APIClient, **body: Any) -> Any:
    return api.post(HOOKS, {"url": URL, "events": ["key.*"]} | body, format="json")


def test_a_webhook_is_made_shown_changed_and_deleted(owner: Person, owner_api: APIClient) -> None:
    made = create(owner_api, events=["key.*", "job.fail", "key.*"], description="  ops ")
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    body = made.json()
    assert body["secret"].startswith("whsec_")
    assert (body["events"], body["description"], body["created_by_name"]) == (["job.fail", "key.*"], "ops", owner.email)
    one = f"{HOOKS}/{body['id']}"
    assert "secret" not in owner_api.get(one).json()
    assert [each["id"] for each in owner_api.get(HOOKS).json()["results"]] == [body["id"]]
    changed = owner_api.patch(one, {"enabled": False, "url": URL + "2"}, format="json").json()
    assert (changed["enabled"], changed["url"]) == (False, URL + "2")
    assert owner_api.delete(one).status_code == 204
    assert owner_api.get(one).status_code == 404
    told = [record.action for record in AuditRecord.objects.filter(target_type="webhook").order_by("seq")]
    assert told == ["webhook.create", "webhook.change", "webhook.delete"]


def test_the_secret_is_in_no_row_no_record_and_no_list(owner: Person, owner_api: APIClient) -> None:
    secret = create(owner_api).json()["secret"].removeprefix("whsec_")
    [row] = owner_api.get(HOOKS).json()["results"]
    again = owner_api.post(f"{HOOKS}/{row['id']}/rotate", {"overlap_seconds": 60}, format="json").json()
    assert again["rotating_until"] is not None
    assert again["secret"] != f"whsec_{secret}"
    with tenant_scope(owner.tenant):
        [webhook] = Webhook.objects.values()
    kept = json.dumps(
        [str({name: bytes(value) if isinstance(value, memoryview) else value for name, value in webhook.items()})]
    )
    everything = kept + str(list(AuditRecord.objects.values())) + owner_api.get(HOOKS).content.decode()
    assert secret not in everything
    assert again["secret"].removeprefix("whsec_") not in everything


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://hooks.example.com/"},
        {"url": "https://127.0.0.1/"},
        {"url": "https://169.254.169.254/latest"},
        {"url": "https://user:pass@example.com/"},
        {"url": "https://"},
        {"url": ""},
        {"url": "https://example.com/" + "a" * 3000},
        {"events": []},
        {"events": ["nonsense"]},
        {"events": ["KEY.ISSUE"]},
        {"events": ["key.*"] * 51},
        {"events": "key.*"},
        {"description": "x" * 201},
    ],
)
def test_what_is_no_webhook_is_refused_at_its_field(owner_api: APIClient, body: dict[str, Any]) -> None:
    refused = create(owner_api, **body)
    assert refused.status_code == 400
    assert {name.partition(".")[0] for name in refused.json()["fields"]} == set(body)
    one = f"{HOOKS}/{create(owner_api).json()['id']}"
    assert owner_api.patch(one, body, format="json").status_code == 400


def test_nobody_else_sees_or_changes_one(
    owner_api: APIClient, member_api: APIClient, viewer_api: APIClient, stranger_api: APIClient, stranger_key: Key
) -> None:
    one = f"{HOOKS}/{create(owner_api).json()['id']}"
    delivery = owner_api.post(f"{one}/test").json()["id"]
    for api, expected in ((member_api, 403), (viewer_api, 403), (stranger_api, 404)):
        assert create(api).status_code == (201 if api is stranger_api else 403)
        assert api.get(one).status_code == expected
        assert api.patch(one, {"enabled": False}, format="json").status_code == expected
        assert api.delete(one).status_code == expected
        for act in ("rotate", "test", f"deliveries/{delivery}/redeliver"):
            assert api.post(f"{one}/{act}", {}, format="json").status_code == expected, act
        assert api.get(f"{one}/deliveries").status_code == expected
        assert api.get(f"{one}/deliveries/{delivery}").status_code == expected
    assert len(stranger_api.get(HOOKS).json()["results"]) == 1


def test_nobody_is_told_by_a_webhook_of_what_they_may_not_see(owner: Person) -> None:
    create_role(acting=owner.acting, slug="hooks", name="Hooks", permissions=["webhook.manage", "member.view"])
    user = create_user(acting=SYSTEM, email="hooks@acme.example", password=PASSWORD)
    add_member(acting=owner.acting, tenant=owner.tenant, user=user, role="hooks")
    api = logged_in(Person(user, owner.tenant, owner.acting))
    for events, lacking in ((["key.*"], "audit.view"), (["*"], "audit.view"), (["health.opened"], "node.view")):
        refused = create(api, events=events)
        assert (refused.status_code, lacking in refused.json()["detail"]) == (403, True)


def test_who_manages_webhooks_learns_by_those_of_others_nothing_that_they_may_not_see(
    owner: Person, owner_api: APIClient
) -> None:
    create_role(acting=owner.acting, slug="hooks", name="Hooks", permissions=["webhook.manage", "node.view"])
    user = create_user(acting=SYSTEM, email="hooks@acme.example", password=PASSWORD)
    add_member(acting=owner.acting, tenant=owner.tenant, user=user, role="hooks")
    api = logged_in(Person(user, owner.tenant, owner.acting))
    one = f"{HOOKS}/{create(owner_api, events=['*']).json()['id']}"
    # Who makes another webhook tells the first one of it.
    create(owner_api)
    fan_out()
    delivery, *_ = owner_api.get(f"{one}/deliveries").json()["results"]
    assert delivery["type"] == "webhook.create"
    log = f"{one}/deliveries/{delivery['id']}"
    mine = {"url": "https://elsewhere.example.com/"}
    assert api.get(log).status_code == 403
    assert owner_api.get(log).status_code == 200
    for change in (mine, mine | {"events": ["health.*"]}):
        assert api.patch(one, change, format="json").status_code == 403, change
    # What waits from before goes to the address of now, whatever events come next.
    assert api.patch(one, {"events": ["health.*"]}, format="json").status_code == 200
    assert api.patch(one, mine, format="json").status_code == 403
    assert api.patch(one, {"enabled": False}, format="json").status_code == 200
    assert api.patch(one, mine | {"enabled": True}, format="json").status_code == 200
    assert api.post(f"{log}/redeliver").status_code == 403
    test = api.post(f"{one}/test").json()
    assert api.get(f"{one}/deliveries/{test['id']}").status_code == 200


def test_a_tenant_has_so_many_webhooks_and_no_more(owner_api: APIClient, settings: Any) -> None:
    settings.ENV.values["OLLAMAMAX_MAX_WEBHOOKS_PER_TENANT"] = 2
    try:
        assert [create(owner_api).status_code for _ in range(3)] == [201, 201, 409]
    finally:
        settings.ENV.values["OLLAMAMAX_MAX_WEBHOOKS_PER_TENANT"] = 50


def test_what_waits_is_given_up_when_a_webhook_is_switched_off(owner: Person, owner_api: APIClient) -> None:
    one = f"{HOOKS}/{create(owner_api).json()['id']}"
    delivery = owner_api.post(f"{one}/test").json()
    assert (delivery["state"], delivery["type"]) == ("waiting", "webhook.test")
    assert owner_api.get(one).json()["waiting"] == 1
    assert owner_api.patch(one, {"enabled": False}, format="json").json()["waiting"] == 0
    assert owner_api.get(f"{one}/deliveries/{delivery['id']}").json()["state"] == "failed"
    assert owner_api.post(f"{one}/test").status_code == 400
    assert owner_api.post(f"{one}/deliveries/{delivery['id']}/redeliver").status_code == 409
    assert owner_api.patch(one, {"enabled": True}, format="json").status_code == 200
    with tenant_scope(owner.tenant):
        assert Webhook.objects.get().since > timezone.now() - datetime.timedelta(seconds=60)
        assert WebhookDelivery.objects.filter(state="waiting").count() == 0


def test_the_events_to_choose_from_are_told(owner_api: APIClient) -> None:
    groups = {each["group"]: each["events"] for each in owner_api.get(f"{HOOKS}/events").json()["groups"]}
    assert "key.issue" in groups["key"]
    assert groups["health"] == ["health.changed", "health.closed", "health.opened"]

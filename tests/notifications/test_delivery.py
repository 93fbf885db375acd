"""Deliveries to a real receiver: signed, at least once, tried again with patience, logged, and in nobody's way whatever the receiver does."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient
from standardwebhooks import Webhook as Verifier

from ollamamax.audit.models import AuditRecord
from ollamamax.identity import throttle
from ollamamax.identity.actions.retention import remove_ended
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.ids import new_id
from ollamamax.mail.sending import send_due
from ollamamax.notifications import sending
from ollamamax.notifications.actions.delivery import (
    AT_ONCE,
    LEASE,
    TENANT_AT_ONCE,
    Parcel,
    claim_deliveries,
    finish_attempt,
    give_up_late,
)
from ollamamax.notifications.actions.webhook import (
    create_webhook,
    delete_webhook,
    rotate_webhook,
    send_test_event,
)
from ollamamax.notifications.attempts import Tried
from ollamamax.notifications.models import Webhook, WebhookDelivery, WebhookEvent
from ollamamax.notifications.sending import deliver_due
from ollamamax.outbound.addresses import Rules
from tests.cast import Person
from tests.mail.sink import taking
from tests.notifications.receiver import Receiver, receiving, status

pytestmark = pytest.mark.django_db(transaction=True)
HOOKS = "/api/v1/webhooks"


def hook(person: Person, url: str) -> tuple[Webhook, str]:
    return create_webhook(acting=person.acting, url=url, events=["key.*"])


def test_event(person: Person, webhook: Webhook) -> WebhookDelivery:
    return send_test_event(acting=person.acting, webhook_id=webhook.id)


test_event.__test__ = False  # type: ignore[attr-defined]


def now_due(person: Person) -> None:
    """Whatever waits may be tried at once."""
    with tenant_scope(person.tenant):
        WebhookDelivery.objects.update(next_at=timezone.now())
        Webhook.objects.update(wait_until=None)


def state(person: Person, delivery: WebhookDelivery) -> Any:
    with tenant_scope(person.tenant):
        return WebhookDelivery.objects.get(pk=delivery.pk)


def test_an_event_arrives_signed_as_the_standard_says(owner: Person, receiver: Receiver) -> None:
    webhook, secret = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    assert deliver_due() == 1
    [got] = receiver.received
    assert got.path == "/hook"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == delivery.event_id.hex
    assert Verifier(secret).verify(got.body, got.headers)["type"] == "webhook.test"
    assert not {"cookie", "authorization"} & got.headers.keys()
    found = state(owner, delivery)
    assert (found.state, found.tries) == ("delivered", 1)
    [tried] = found.attempts
    assert (tried["status"], tried["excerpt"]) == (200, "thanks")
    assert deliver_due() == 0


def test_while_a_secret_is_rotated_either_is_good_and_then_the_new_one_alone(owner: Person, receiver: Receiver) -> None:
    webhook, old = hook(owner, receiver.url)
    _, new = rotate_webhook(acting=owner.acting, webhook_id=webhook.id, overlap=datetime.timedelta(hours=1))
    test_event(owner, webhook)
    deliver_due()
    with tenant_scope(owner.tenant):
        Webhook.objects.update(previous_until=timezone.now())
    test_event(owner, webhook)
    deliver_due()
    first, second = receiver.received
    for secret in (old, new):
        Verifier(secret).verify(first.body, first.headers)
    Verifier(new).verify(second.body, second.headers)
    assert " " not in second.headers["webhook-signature"]


@pytest.mark.parametrize("code", [199, 301, 302, 307, 400, 404, 429, 500, 503, 599])
def test_all_but_a_success_is_tried_again_under_the_same_id(owner: Person, receiver: Receiver, code: int) -> None:
    webhook, _ = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    receiver.answer = status(code, "no", "Location: http://169.254.169.254/latest\r\n")
    before = timezone.now()
    assert deliver_due() == 1
    found = state(owner, delivery)
    assert (found.state, found.tries) == ("waiting", 1)
    assert 3 < (found.next_at - before).total_seconds() < 60
    assert deliver_due() == 0, "nothing is tried before it is due"
    receiver.answer = status(204)
    now_due(owner)
    assert deliver_due() == 1
    assert state(owner, delivery).state == "delivered"
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
    with tenant_scope(owner.tenant):
        assert Webhook.objects.get().failing_since is None


async def _endless(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 100)
        await writer.drain()
        await asyncio.sleep(0.05)


async def _huge(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(2000):
        writer.write(b"x" * 10_000)
        await writer.drain()


async def _silent(writer: asyncio.StreamWriter, _: int) -> None:
    await asyncio.sleep(60)


async def _endless_headers(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"y" * 1000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def _half(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


async def _nothing(writer: asyncio.StreamWriter, _: int) -> None:
    writer.close()


async def _no_http(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"\0\xff" * 50 + b"\r\n\r\n")


@pytest.mark.parametrize("answer", [_endless, _huge, _half])
def test_of_an_answer_that_says_yes_the_end_is_not_waited_for(
    owner: Person, receiver: Receiver, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SECONDS", 1.0)
    webhook, _ = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    receiver.answer = answer
    deliver_due()
    found = state(owner, delivery)
    assert (found.state, found.attempts[0]["status"]) == ("delivered", 200)
    assert len(found.attempts[0]["excerpt"]) <= 1000


@pytest.mark.parametrize("answer", [_silent, _endless_headers, _nothing, _no_http])
def test_what_is_no_answer_is_a_failure_that_is_told_in_the_log(
    owner: Person, receiver: Receiver, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SECONDS", 0.5)
    webhook, _ = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    receiver.answer = answer
    deliver_due()
    found = state(owner, delivery)
    assert (found.state, found.tries) == ("waiting", 1)
    assert found.attempts[0]["error"]
    assert "status" not in found.attempts[0]


def test_a_private_address_is_not_spoken_to_though_it_was_allowed_before(
    owner: Person, receiver: Receiver, settings: Settings
) -> None:
    webhook, _ = hook(owner, receiver.url.replace("127.0.0.1", "localhost"))
    delivery = test_event(owner, webhook)
    settings.OUTBOUND_RULES = Rules(http=True)
    deliver_due()
    assert receiver.received == []
    assert "not a public one" in state(owner, delivery).attempts[0]["error"]


def test_a_receiver_that_is_away_is_asked_by_one_delivery_at_a_time_and_gets_all_when_it_is_back(
    owner: Person, receiver: Receiver
) -> None:
    webhook, _ = hook(owner, receiver.url)
    deliveries = [test_event(owner, webhook) for _ in range(12)]
    receiver.answer = status(503)
    assert deliver_due() == AT_ONCE, "what was under way already"
    with tenant_scope(owner.tenant):
        Webhook.objects.update(wait_until=None)
    assert deliver_due() == 1
    assert deliver_due() == 0
    receiver.answer = status(200)
    now_due(owner)
    assert deliver_due() == 12
    assert {state(owner, each).state for each in deliveries} == {"delivered"}
    assert receiver.most_at_once <= AT_ONCE


def test_ten_thousand_events_for_one_that_is_away_are_in_nobodys_way(
    owner: Person, stranger: Person, receiver: Receiver
) -> None:
    busy, _ = hook(owner, receiver.url)
    with tenant_scope(owner.tenant):
        past = timezone.now() - datetime.timedelta(hours=1)
        events = [WebhookEvent(tenant=owner.tenant, type="key.change", at=past, body="{}") for _ in range(10_000)]
        WebhookEvent.objects.bulk_create(events)
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(
                tenant=owner.tenant,
                webhook=busy,
                event=event,
                next_at=past,
                until=past + datetime.timedelta(days=1),
            )
            for event in events
        )
    receiver.answer = status(500)
    with receiving() as other:
        webhook, _ = hook(stranger, other.url)
        delivery = test_event(stranger, webhook)
        assert deliver_due() == AT_ONCE + 1
        assert state(stranger, delivery).state == "delivered"


def test_one_tenant_with_many_webhooks_leaves_places_for_others(
    owner: Person, stranger: Person, receiver: Receiver
) -> None:
    for _ in range(17):
        test_event(owner, hook(owner, receiver.url)[0])
    theirs = test_event(stranger, hook(stranger, receiver.url)[0])
    runner = new_id()
    claimed: list[Parcel] = []
    while some := claim_deliveries(runner, 16 - len(claimed)):
        claimed += some
    assert len(claimed) == TENANT_AT_ONCE + 1
    assert theirs.pk in {each.delivery for each in claimed}


def test_who_dies_in_the_middle_loses_nothing(owner: Person, receiver: Receiver) -> None:
    webhook, _ = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    [parcel] = claim_deliveries("dead", 8)
    assert claim_deliveries("other", 8) == [], "as long as it may live"
    with tenant_scope(owner.tenant):
        WebhookDelivery.objects.update(lease_until=timezone.now())
    assert deliver_due() == 1
    assert state(owner, delivery).state == "delivered"
    # The one that was only frozen says nothing any more.
    finish_attempt(parcel, "dead", Tried(timezone.now(), 1.0, 500))
    found = state(owner, delivery)
    assert (found.state, found.tries) == ("delivered", 1)
    assert datetime.timedelta(seconds=sending.SECONDS * 2) < LEASE


def test_a_delivery_is_given_up_after_its_day_and_sent_again_when_somebody_asks(
    owner: Person, owner_api: APIClient, receiver: Receiver
) -> None:
    webhook, _ = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    receiver.answer = status(500)
    with tenant_scope(owner.tenant):
        WebhookDelivery.objects.update(until=timezone.now() + datetime.timedelta(seconds=1))
    deliver_due()
    assert state(owner, delivery).state == "failed"
    again = owner_api.post(f"{HOOKS}/{webhook.id}/deliveries/{delivery.id}/redeliver")
    assert (again.status_code, again.json()["state"]) == (201, "waiting")
    assert owner_api.post(f"{HOOKS}/{webhook.id}/deliveries/{delivery.id}/redeliver").status_code == 409
    receiver.answer = status(200, "at last")
    assert deliver_due() == 1
    first, second = receiver.received
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    shown = owner_api.get(f"{HOOKS}/{webhook.id}/deliveries/{delivery.id}").json()
    assert [each["status"] for each in shown["attempts"]] == [500, 200]
    assert json.loads(shown["body"]) == shown["payload"]
    assert shown["last"]["excerpt"] == "at last"
    listed = owner_api.get(f"{HOOKS}/{webhook.id}/deliveries", {"state": "delivered"}).json()["results"]
    assert [each["id"] for each in listed] == [str(delivery.id)]


def test_what_a_webhook_that_waits_could_not_be_told_in_its_day_is_given_up_too(
    owner: Person, receiver: Receiver
) -> None:
    webhook, _ = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    with tenant_scope(owner.tenant):
        WebhookDelivery.objects.update(until=timezone.now())
    assert give_up_late() == 1
    assert state(owner, delivery).state == "failed"


@pytest.mark.parametrize(("code", "days", "off"), [(500, 6, True), (500, 4, False), (410, 0, True)])
def test_a_webhook_that_fails_for_days_or_is_gone_is_switched_off_and_that_is_told(
    owner: Person, owner_api: APIClient, receiver: Receiver, code: int, days: int, off: bool
) -> None:
    webhook, _ = hook(owner, receiver.url)
    waiting = [test_event(owner, webhook) for _ in range(3)]
    receiver.answer = status(code)
    with tenant_scope(owner.tenant):
        since = timezone.now() - datetime.timedelta(days=days, minutes=1)
        Webhook.objects.update(failures=9, failing_since=since if days else None)
    deliver_due()
    shown = owner_api.get(f"{HOOKS}/{webhook.id}").json()
    assert shown["enabled"] is not off
    assert bool(shown["disabled_reason"]) is off
    assert AuditRecord.objects.filter(action="webhook.disable").count() == off
    assert {state(owner, each).state for each in waiting} == ({"failed"} if off else {"waiting"})
    # Whoever switches it on again finds it as new.
    on = owner_api.patch(f"{HOOKS}/{webhook.id}", {"enabled": True, "description": "mended"}, format="json").json()
    assert (on["enabled"], on["disabled_reason"], on["failing_since"]) == (True, "", None)


def test_a_webhook_that_is_deleted_under_way_is_no_matter(owner: Person, receiver: Receiver) -> None:
    webhook, _ = hook(owner, receiver.url)
    test_event(owner, webhook)
    runner = new_id()
    [parcel] = claim_deliveries(runner, 8)
    delete_webhook(acting=owner.acting, webhook_id=webhook.id)
    finish_attempt(parcel, runner, Tried(timezone.now(), 1.0, 200))
    assert claim_deliveries(runner, 8) == []


def test_the_log_goes_after_its_days_and_what_waits_stays(owner: Person, receiver: Receiver) -> None:
    webhook, _ = hook(owner, receiver.url)
    over, waiting = test_event(owner, webhook), None
    deliver_due()
    waiting = test_event(owner, webhook)
    with tenant_scope(owner.tenant):
        WebhookEvent.objects.update(created_at=timezone.now() - datetime.timedelta(days=31))
    remove_ended()
    with tenant_scope(owner.tenant):
        assert set(WebhookDelivery.objects.values_list("pk", flat=True)) == {waiting.pk}
    assert isinstance(over.pk, uuid.UUID)


def test_the_log_takes_its_own_parameters_only(owner: Person, owner_api: APIClient, receiver: Receiver) -> None:
    webhook, _ = hook(owner, receiver.url)
    log = f"{HOOKS}/{webhook.id}/deliveries"
    for wrong in ({"colour": "red"}, {"ordering": "body"}, {"state": "lost"}):
        assert list(owner_api.get(log, wrong).json()["fields"]) == list(wrong)
    test_event(owner, webhook)
    for good in ({"ordering": "-created_at"}, {"type": "webhook.test"}, {"state": "waiting", "limit": "1"}):
        assert len(owner_api.get(log, good).json()["results"]) == 1


def test_whoever_made_a_webhook_that_is_switched_off_gets_a_letter(
    owner: Person, receiver: Receiver, settings: Settings
) -> None:
    webhook, _ = hook(owner, receiver.url)
    test_event(owner, webhook)
    receiver.answer = status(410)
    with taking() as sink:
        settings.MAIL = sink.server()
        deliver_due()
        send_due()
    [message] = sink.taken
    assert message["To"] == owner.email
    assert "was switched off" in str(message["Subject"])


def test_a_secret_that_cannot_be_opened_stops_its_own_webhook_alone(
    owner: Person, stranger: Person, receiver: Receiver
) -> None:
    broken, whole = hook(owner, receiver.url)[0], hook(stranger, receiver.url)[0]
    with tenant_scope(owner.tenant):
        Webhook.objects.update(secret=b"sealed with a key that is gone")
    lost, fine = test_event(owner, broken), test_event(stranger, whole)
    assert deliver_due() == 2
    assert state(stranger, fine).state == "delivered"
    found = state(owner, lost)
    assert (found.state, found.tries, found.attempts[0]["error"][:10]) == ("waiting", 1, "The secret")
    assert len(receiver.received) == 1
    # And works again with a new one.
    rotate_webhook(acting=owner.acting, webhook_id=broken.id, overlap=datetime.timedelta(0))
    now_due(owner)
    assert deliver_due() == 1


def test_webhooks_that_have_all_they_may_take_no_place_of_others(owner: Person, receiver: Receiver) -> None:
    full, other = hook(owner, receiver.url)[0], hook(owner, receiver.url)[0]
    for _ in range(AT_ONCE + 2):
        test_event(owner, full)
    assert len(claim_deliveries("one", 16)) == AT_ONCE
    test_event(owner, other)
    with tenant_scope(owner.tenant):
        # However long ago it was that it was looked at.
        Webhook.objects.filter(pk=full.pk).update(tried_at=timezone.now() - datetime.timedelta(days=1))
        Webhook.objects.filter(pk=other.pk).update(tried_at=timezone.now())
    assert [each.webhook for each in claim_deliveries("two", 1)] == [other.pk]


def test_a_tenant_asks_for_so_many_tests_and_repetitions_and_no_more(
    owner: Person, owner_api: APIClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(throttle.PACES, "webhook", throttle.AttemptPace(3, 3600.0))
    webhook, _ = hook(owner, receiver.url)
    delivery = test_event(owner, webhook)
    deliver_due()
    again = f"{HOOKS}/{webhook.id}/deliveries/{delivery.id}/redeliver"
    assert owner_api.post(again).status_code < 300
    assert owner_api.post(f"{HOOKS}/{webhook.id}/test").status_code < 300
    for where in (again, f"{HOOKS}/{webhook.id}/test"):
        refused = owner_api.post(where)
        assert (refused.status_code, refused.headers["Retry-After"].isdigit()) == (429, True)
    with tenant_scope(owner.tenant):
        assert WebhookDelivery.objects.count() == 2

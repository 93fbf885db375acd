"""A new password by mail: nobody learns who has an account, a link works once and for a while, and every session ends."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity.actions.password_reset import answer_resets, sweep_resets
from ollamamax.identity.actions.user import set_user_active
from ollamamax.identity.models import PasswordReset
from ollamamax.mail.sending import send_due
from tests.cast import PASSWORD, SYSTEM, Person
from tests.mail.sink import Sink, taking

pytestmark = pytest.mark.django_db(transaction=True)
ASK, SET, SESSION = "/api/v1/account/reset", "/api/v1/account/reset/password", "/api/v1/session"
CHOSEN = "another-fine-and-long-password"


@pytest.fixture
def sink(settings: Settings) -> Iterator[Sink]:
    with taking() as found:
        settings.MAIL = found.server()
        yield found


def ask(email: str, **body: Any) -> Any:
    return APIClient().post(ASK, {"email": email} | body, format="json")


def letters() -> None:
    answer_resets()
    send_due()


def token(sink: Sink, number: int = -1) -> str:
    text = next(part for part in sink.taken[number].walk() if part.get_content_type() == "text/plain").get_content()
    found = re.search(r"/reset#(\S+)", text)
    assert found is not None
    return found[1]


def set_password(text: str, password: str = CHOSEN) -> Any:
    return APIClient().post(SET, {"token": text, "password": password}, format="json")


def log_in(email: str, password: str) -> APIClient:
    browser = APIClient()
    browser.post(SESSION, {"email": email, "password": password}, format="json")
    return browser


def is_in(browser: APIClient) -> bool:
    return bool(browser.get(SESSION).json()["authenticated"])


def test_whoever_has_the_letter_sets_a_new_password_and_every_session_ends(owner: Person, sink: Sink) -> None:
    browser = log_in(owner.email, PASSWORD)
    assert is_in(browser)
    assert ask(owner.email.upper(), language="de").status_code == 202
    letters()
    assert "Neues Passwort" in str(sink.taken[0]["Subject"])
    text = token(sink)
    assert set_password(text, "short").status_code == 400
    assert set_password(text).status_code == 204
    assert not is_in(browser)
    assert not is_in(log_in(owner.email, PASSWORD))
    assert is_in(log_in(owner.email, CHOSEN))
    assert set_password(text).status_code == 404, "it works once"
    letters()
    assert "geändert" in str(sink.taken[-1]["Subject"])
    assert {"user.send_reset", "user.reset_password"} <= set(AuditRecord.objects.values_list("action", flat=True))
    assert text not in str(list(AuditRecord.objects.values())) + str(list(PasswordReset.objects.values()))


def test_whoever_asks_again_and_again_fills_nobodys_mailbox(owner: Person, sink: Sink, settings: Settings) -> None:
    for number in range(30):
        APIClient().post(ASK, {"email": owner.email}, format="json", REMOTE_ADDR=f"192.0.2.{number}")
        answer_resets()
        PasswordReset.objects.exclude(answered_at=None).update(
            answered_at=timezone.now() - datetime.timedelta(minutes=9)
        )
    send_due()
    assert 0 < len(sink.taken) <= 6
    assert set_password(token(sink)).status_code == 204, "the last letter works"


def test_nobody_learns_who_has_an_account(owner: Person, sink: Sink, django_assert_num_queries: Any) -> None:
    off = owner.user
    found = [ask(email) for email in (owner.email, "nobody@example.com", "nonsense", "'; DROP TABLE x; --")]
    assert {each.status_code for each in found} == {202}
    assert len({each.content for each in found}) == 1
    rows: set[Any] = set(PasswordReset.objects.values_list("user", "token_hash", "answered_at"))
    assert rows == {(None, "", None)}, "what is done while they wait is the same"
    set_user_active(acting=SYSTEM, user_id=off.id, active=False)
    letters()
    assert sink.taken == []


def test_who_logs_in_elsewhere_gets_no_password(owner: Person, sink: Sink) -> None:
    owner.user.set_unusable_password()
    owner.user.save()
    ask(owner.email)
    letters()
    assert sink.taken == []


@pytest.mark.parametrize("end", ["expired", "deactivated", "another was used", "made up"])
def test_a_link_that_ended_sets_nothing(owner: Person, sink: Sink, end: str) -> None:
    ask(owner.email)
    letters()
    text = token(sink)
    if end == "expired":
        PasswordReset.objects.update(expires_at=timezone.now())
    elif end == "deactivated":
        set_user_active(acting=SYSTEM, user_id=owner.user.id, active=False)
    elif end == "another was used":
        PasswordReset.objects.update(answered_at=timezone.now() - datetime.timedelta(minutes=5))
        ask(owner.email)
        letters()
        assert set_password(token(sink)).status_code == 204
    else:
        text = "made-up"
    assert set_password(text, CHOSEN + "2").status_code == 404
    owner.user.refresh_from_db()
    assert not owner.user.check_password(CHOSEN + "2")


def test_nobodys_letter_box_is_filled(owner: Person, sink: Sink) -> None:
    assert [ask(owner.email).status_code for _ in range(12)].count(202) == 10
    letters()
    assert len(sink.taken) == 1
    refused = ask("nobody@example.com")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) >= 1


def test_two_that_answer_at_once_write_one_letter(owner: Person, sink: Sink) -> None:
    ask(owner.email)
    ask(owner.email)
    assert answer_resets() == 2
    assert answer_resets() == 0
    send_due()
    assert len(sink.taken) == 1


def test_without_mail_it_says_so(owner: Person, settings: Settings) -> None:
    settings.MAIL = None
    answer = ask(owner.email)
    assert (answer.status_code, "sends no mail" in answer.json()["detail"]) == (409, True)
    assert APIClient().get(SESSION).json()["mail"] is False


def test_another_site_asks_for_nothing(sink: Sink) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    assert browser.post(ASK, {"email": "a@example.com"}, format="json").status_code == 403
    assert browser.post(SET, {"token": "x", "password": CHOSEN}, format="json").status_code == 403


def test_what_is_over_is_forgotten(owner: Person, sink: Sink) -> None:
    ask(owner.email)
    PasswordReset.objects.update(expires_at=timezone.now() - datetime.timedelta(days=2))
    sweep_resets()
    assert PasswordReset.objects.count() == 0

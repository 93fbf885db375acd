"""`/api/v1/session` and `/api/v1/me`: logging in and out with a cookie."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity import sessions, throttle
from ollamamax.identity.actions.member import add_member, change_member
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.queries.member import TenantRole
from tests import cast
from tests.cast import PASSWORD, Key, Person

pytestmark = pytest.mark.django_db
SESSION = "/api/v1/session"


class Browser(APIClient):
    """As a browser: it has a CSRF cookie, sends it back, and is refused when it does not."""

    def __init__(self) -> None:
        super().__init__(enforce_csrf_checks=True)
        self.get(SESSION)

    def with_token(self, method: str, path: str, data: Any = None) -> Any:
        token = self.cookies["csrftoken"].value
        return self.generic(method, path, data, content_type="application/json", HTTP_X_CSRFTOKEN=token)

    def log_in(self, email: str, password: str) -> Any:
        return self.with_token("POST", SESSION, json.dumps({"email": email, "password": password}))


@pytest.fixture
def browser() -> Browser:
    return Browser()


def test_nobody_is_logged_in_at_first(browser: Browser) -> None:
    answer = browser.get(SESSION)
    assert answer.json() == {
        "authenticated": False,
        "user": None,
        "log_in": None,
        "factor": None,
        "factor_wanted": None,
        "tenant": None,
        "tenants": [],
        "leaving": [],
        "mail": False,
        "permissions": [],
    }
    assert answer["Cache-Control"] == "no-store"
    assert browser.get("/api/v1/me").status_code == 401


def test_an_owner_logs_in_and_out(browser: Browser, owner: Person) -> None:
    answer = browser.log_in(owner.email, PASSWORD)
    assert answer.status_code == 200
    tenant = {"id": str(owner.tenant.id), "slug": "acme", "name": "Acme", "role": "owner"}
    session = answer.json()
    assert session["authenticated"] is True
    assert session["user"] == {"id": str(owner.user.id), "email": owner.email, "name": owner.email}
    assert session["tenant"] == tenant
    assert session["tenants"] == [tenant]
    assert browser.get(SESSION).json() == session
    me = browser.get("/api/v1/me").json()
    assert (me["kind"], me["id"], me["tenant"]) == ("user", owner.user.id.hex, owner.tenant.id.hex)
    assert "audit.view" in me["permissions"]

    assert browser.with_token("DELETE", SESSION).status_code == 204
    assert browser.get("/api/v1/me").status_code == 401
    actions = AuditRecord.objects.filter(chain=owner.tenant.id.hex, target_type="user", action__startswith="session")
    assert list(actions.order_by("seq").values_list("action", flat=True)) == ["session.log_in", "session.log_out"]


def test_the_session_id_changes_at_log_in_and_the_old_one_is_dead_after_log_out(owner: Person) -> None:
    browser = Browser()
    planted = browser.session
    planted["x"] = 1
    planted.save()
    before = browser.cookies["sessionid"].value
    browser.log_in(owner.email, PASSWORD)
    during = browser.cookies["sessionid"].value
    assert during != before
    browser.with_token("DELETE", SESSION)
    stolen = APIClient()
    stolen.cookies["sessionid"] = during
    assert stolen.get("/api/v1/me").status_code == 401


def test_logging_out_when_nobody_is_logged_in_does_no_harm(browser: Browser) -> None:
    assert browser.with_token("DELETE", SESSION).status_code == 204


def test_an_address_is_known_in_whatever_case(browser: Browser, owner: Person) -> None:
    assert browser.log_in(f"  {owner.email.upper()} ", PASSWORD).status_code == 200


def test_unknown_address_wrong_password_and_inactive_user_get_the_same_answer(
    browser: Browser, owner: Person, member: Person
) -> None:
    member.user.is_active = False
    member.user.save()
    answers = [
        browser.log_in(owner.email, "wrong-password"),
        browser.log_in("nobody@acme.example", PASSWORD),
        browser.log_in(member.email, PASSWORD),
    ]
    assert {a.status_code for a in answers} == {401}
    assert len({a.content for a in answers}) == 1
    assert answers[0].json()["code"] == "unauthenticated"


def test_logging_in_from_another_site_is_refused(owner: Person) -> None:
    client = APIClient(enforce_csrf_checks=True)
    answer = client.post(SESSION, {"email": owner.email, "password": PASSWORD}, format="json")
    assert answer.status_code == 403
    assert answer["Content-Type"] == "application/problem+json"
    assert "sessionid" not in client.cookies


def test_a_cookie_without_the_csrf_token_changes_nothing(browser: Browser, owner: Person) -> None:
    browser.log_in(owner.email, PASSWORD)
    assert browser.post("/api/v1/keys", {"name": "x"}, format="json").status_code == 403
    assert browser.delete(SESSION).status_code == 403
    assert browser.get(SESSION).json()["authenticated"] is True


def test_a_key_needs_no_csrf_token(owner_key: Key) -> None:
    client = APIClient(enforce_csrf_checks=True)
    answer = client.post("/api/v1/keys", {"name": "x"}, format="json", HTTP_AUTHORIZATION=f"Bearer {owner_key.text}")
    assert answer.status_code == 201


def test_too_many_failures_lock_the_address_out_even_for_the_right_password(browser: Browser, owner: Person) -> None:
    # Another case of the address does not have attempts of its own.
    names = [owner.email, owner.email.upper()] * (throttle.PACES["pair"].burst // 2)
    assert {browser.log_in(name, "wrong-password").status_code for name in names} == {401}
    locked = browser.log_in(owner.email, PASSWORD)
    assert locked.status_code == 429
    assert locked["Content-Type"] == "application/problem+json"
    assert locked.json()["code"] == "overloaded"
    assert int(locked["Retry-After"]) > 0
    assert browser.get(SESSION).json()["authenticated"] is False


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"email": "x"}',
        '{"email": null, "password": "x"}',
        '{"email": ["x"], "password": {}}',
        '{"email": "a\\u0000b", "password": "x"}',
        '{"email": "x", "password": "' + "x" * 1025 + '"}',
        '{"email": "' + "x" * 300 + '", "password": "x"}',
        "[1]",
    ],
)
def test_a_wrong_body_is_refused(browser: Browser, body: str) -> None:
    answer = browser.with_token("POST", SESSION, body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"


def test_a_password_with_odd_characters_is_only_wrong(browser: Browser, owner: Person) -> None:
    for password in ("\0", "\ud800", "💥" * 100):
        assert browser.log_in(owner.email, password).status_code in (400, 401)


def test_a_user_without_a_tenant_is_known_but_may_do_nothing(browser: Browser, db: None) -> None:
    create_user(acting=cast.SYSTEM, email="alone@nowhere.example", password=PASSWORD)
    session = browser.log_in("alone@nowhere.example", PASSWORD).json()
    assert session["authenticated"] is True
    assert session["tenant"] is None
    assert browser.get("/api/v1/me").json()["tenant"] is None
    assert browser.get("/api/v1/keys").status_code == 403


def test_a_user_acts_in_the_tenant_the_session_names_and_only_where_they_belong(
    browser: Browser, owner: Person, stranger: Person
) -> None:
    add_member(acting=cast.SYSTEM, tenant=stranger.tenant, user=owner.user, role="viewer")
    browser.log_in(owner.email, PASSWORD)
    assert browser.get("/api/v1/me").json()["tenant"] == owner.tenant.id.hex
    session = browser.session
    session["tenant"] = stranger.tenant.id.hex
    session.save()
    me = browser.get("/api/v1/me").json()
    assert me["tenant"] == stranger.tenant.id.hex
    assert "key.manage" not in me["permissions"]
    session["tenant"] = "f" * 32
    session.save()
    assert browser.get("/api/v1/me").json()["tenant"] == owner.tenant.id.hex


def test_a_stranger_is_themselves(stranger_api: APIClient, stranger: Person) -> None:
    assert stranger_api.get("/api/v1/me").json()["tenant"] == stranger.tenant.id.hex


def test_an_unknown_address_takes_as_long_as_a_wrong_password(browser: Browser, owner: Person, settings: Any) -> None:
    # With the product's own cost of the hash, so that the difference would be seen.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    owner.user.set_password(PASSWORD)
    owner.user.save()

    def took(email: str) -> float:
        # Of the processor, whatever else it has to do.
        start = time.process_time()
        browser.log_in(email, "wrong-password")
        return time.process_time() - start

    assert took("nobody@acme.example") > 0.3 * took(owner.email)


# How and when somebody logged in, and in which tenant they act.


def test_a_session_knows_how_and_when_its_user_logged_in(browser: Browser, owner: Person) -> None:
    before = time.time()
    log_in = browser.log_in(owner.email, PASSWORD).json()["log_in"]
    assert (log_in["method"], log_in["provider"]) == ("password", "")
    assert before - 1 <= datetime.datetime.fromisoformat(log_in["at"]).timestamp() <= time.time()
    record = AuditRecord.objects.get(action="session.log_in")
    assert record.detail == {"method": "password", "provider": ""}


def test_a_user_acts_in_another_of_their_tenants_under_a_new_session_id(
    browser: Browser, owner: Person, stranger: Person
) -> None:
    add_member(acting=cast.SYSTEM, tenant=stranger.tenant, user=owner.user, role="viewer")
    browser.log_in(owner.email, PASSWORD)
    before = browser.cookies["sessionid"].value
    session = enter(browser, stranger.tenant.id).json()
    assert (session["tenant"]["slug"], session["tenant"]["role"]) == ("strangers", "viewer")
    assert "node.manage" not in session["permissions"]
    assert session["log_in"]["method"] == "password"
    assert browser.get("/api/v1/tenant").json()["slug"] == "strangers"
    assert browser.cookies["sessionid"].value != before
    record = AuditRecord.objects.get(action="session.enter_tenant")
    assert record.chain == stranger.tenant.id.hex
    # Suspended there, they are back where they still may act.
    change_member(acting=stranger.acting, tenant=stranger.tenant, user_id=owner.user.id, state="suspended")
    assert browser.get("/api/v1/tenant").json()["slug"] == "acme"
    assert enter(browser, stranger.tenant.id).status_code == 404


def test_nobody_enters_a_tenant_that_is_not_theirs(
    browser: Browser, owner: Person, stranger: Person, key_api: APIClient
) -> None:
    browser.log_in(owner.email, PASSWORD)
    assert enter(browser, stranger.tenant.id).status_code == 404
    assert enter(browser, uuid.uuid4()).status_code == 404
    assert browser.with_token("PUT", f"{SESSION}/tenant", "{}").status_code == 400
    assert key_api.put(f"{SESSION}/tenant", {"tenant": str(owner.tenant.id)}, format="json").status_code == 403
    assert Browser().put(f"{SESSION}/tenant", {"tenant": str(owner.tenant.id)}, format="json").status_code == 401


def test_a_tenants_policy_keeps_a_session_out_that_was_begun_in_another_way(
    browser: Browser, owner: Person, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def demand(log_in: sessions.LogIn | None, place: TenantRole) -> str | None:
        if place.slug != "strangers" or (log_in is not None and log_in.method == "oidc"):
            return None
        return "Log in by the provider of this tenant."

    add_member(acting=cast.SYSTEM, tenant=stranger.tenant, user=owner.user, role="viewer")
    browser.log_in(owner.email, PASSWORD)
    assert enter(browser, stranger.tenant.id).status_code == 200
    monkeypatch.setattr(sessions, "policies", [demand])
    # It counts for who is in already, at the next request.
    assert browser.get("/api/v1/tenant").json()["slug"] == "acme"
    refused = enter(browser, stranger.tenant.id)
    assert (refused.status_code, refused.json()["detail"]) == (403, "Log in by the provider of this tenant.")


def enter(browser: Browser, tenant: uuid.UUID) -> Any:
    return browser.with_token("PUT", f"{SESSION}/tenant", json.dumps({"tenant": str(tenant)}))

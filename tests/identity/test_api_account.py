"""`/api/v1/account` and `/api/v1/playground/token`: one's own password, sessions, and a token that ends with its session."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.bus import keys
from ollamamax.contract.tables import KEYS as TABLE
from ollamamax.contract.tables import KnownKey
from ollamamax.identity import directory
from ollamamax.identity.actions import playground
from ollamamax.identity.actions.member import add_member, change_member
from ollamamax.identity.actions.session import MOST_SESSIONS
from ollamamax.identity.actions.user import change_password
from ollamamax.identity.keys import parse_key
from ollamamax.identity.models import ApiKey, UserSession
from ollamamax.identity.scope import tenant_scope
from tests.cast import PASSWORD, SYSTEM, Key, Person, with_key
from tests.identity.test_api_session import Browser

pytestmark = pytest.mark.django_db(transaction=True)
ACCOUNT = "/api/v1/account"
SESSIONS = f"{ACCOUNT}/sessions"
OTHERS = f"{ACCOUNT}/other-sessions"
TOKEN = "/api/v1/playground/token"
NEW = "another-horse-battery"


def browser_of(person: Person) -> Browser:
    browser = Browser()
    assert browser.log_in(person.email, PASSWORD).status_code == 200
    return browser


def call(browser: Browser, method: str, path: str, **body: Any) -> Any:
    return browser.with_token(method, path, json.dumps(body))


def known(valkey: redis.Redis, text: str) -> KnownKey | None:
    """What every gateway is told of a key."""
    parsed = parse_key(text)
    assert parsed is not None
    value: Any = valkey.hget(keys.directory(TABLE.name), parsed[0])
    return None if value is None else TABLE.decode(value)


@pytest.fixture
def browser(owner: Person, valkey: redis.Redis) -> Browser:
    return browser_of(owner)


@pytest.fixture
def token(browser: Browser) -> str:
    answer = call(browser, "POST", TOKEN)
    assert answer.status_code == 201
    return str(answer.json()["token"])


# The password.


def test_a_password_is_changed_by_who_knows_it_and_other_sessions_end(
    owner: Person, browser: Browser, token: str, valkey: redis.Redis
) -> None:
    other = browser_of(owner)
    assert call(browser, "PUT", f"{ACCOUNT}/password", current=PASSWORD, new=NEW).status_code == 204
    assert browser.get("/api/v1/me").status_code == 200
    assert other.get("/api/v1/me").status_code == 401
    assert known(valkey, token) is None
    assert Browser().log_in(owner.email, PASSWORD).status_code == 401
    assert browser_of_new(owner).get("/api/v1/me").status_code == 200
    (noted,) = opened(AuditRecord.objects.filter(action="user.change_password"))
    assert noted.actor_name == owner.email
    assert NEW not in json.dumps(noted.detail)


def browser_of_new(person: Person) -> Browser:
    browser = Browser()
    assert browser.log_in(person.email, NEW).status_code == 200
    return browser


def test_a_question_under_way_with_the_session_of_before_takes_the_new_cookie_from_nobody(
    owner: Person, browser: Browser
) -> None:
    late = Browser()
    late.cookies["sessionid"] = browser.cookies["sessionid"].value
    assert call(browser, "PUT", f"{ACCOUNT}/password", current=PASSWORD, new=NEW).status_code == 204
    answer = late.get("/api/v1/me")
    assert answer.status_code == 401
    assert "sessionid" not in answer.cookies
    assert "Cookie" in answer.headers["Vary"]
    out = browser.with_token("POST", "/api/v1/sso/log-out", "{}")
    assert out.status_code == 200
    assert out.cookies["sessionid"].value == ""


def test_what_is_wrong_with_a_password_is_said_at_its_field(browser: Browser, key_api: APIClient) -> None:
    path = f"{ACCOUNT}/password"
    wrong = call(browser, "PUT", path, current="wrong", new=NEW)
    assert (wrong.status_code, list(wrong.json()["fields"])) == (400, ["current"])
    weak = call(browser, "PUT", path, current=PASSWORD, new="short")
    assert (weak.status_code, list(weak.json()["fields"])) == (400, ["new"])
    assert key_api.put(path, {"current": PASSWORD, "new": NEW}, format="json").status_code == 403
    assert browser.get("/api/v1/me").status_code == 200


def test_whoever_holds_a_session_cannot_try_passwords_without_end(browser: Browser) -> None:
    answers = [
        call(browser, "PUT", f"{ACCOUNT}/password", current=f"wrong-{number}", new=NEW).status_code
        for number in range(30)
    ]
    assert set(answers) == {400, 429}
    assert answers[-1] == 429


# Sessions.


def test_sessions_are_listed_and_ended_by_their_user_alone(
    owner: Person, stranger: Person, browser: Browser, key_api: APIClient
) -> None:
    other, theirs = browser_of(owner), browser_of(stranger)
    rows = browser.get(SESSIONS).json()["results"]
    assert [each["current"] for each in rows] == [False, True]
    assert rows[0]["address"] == "127.0.0.1"
    assert call(theirs, "DELETE", f"{SESSIONS}/{rows[0]['id']}").status_code == 404
    assert other.get("/api/v1/me").status_code == 200
    assert call(browser, "DELETE", f"{SESSIONS}/{rows[0]['id']}").status_code == 204
    assert other.get("/api/v1/me").status_code == 401
    assert call(browser, "DELETE", f"{SESSIONS}/{rows[0]['id']}").status_code == 404
    assert [each["current"] for each in browser.get(SESSIONS).json()["results"]] == [True]
    assert key_api.get(SESSIONS).status_code == 403
    assert APIClient().get(SESSIONS).status_code == 401
    (noted,) = opened(AuditRecord.objects.filter(action="session.end"))
    assert noted.detail["session"] == uuid.UUID(rows[0]["id"]).hex


def test_all_other_sessions_end_at_once(owner: Person, browser: Browser) -> None:
    others = [browser_of(owner) for _ in range(2)]
    assert call(browser, "DELETE", OTHERS).json() == {"ended": 2}
    assert [each.get("/api/v1/me").status_code for each in others] == [401, 401]
    assert browser.get("/api/v1/me").status_code == 200


def test_a_user_has_so_many_sessions_and_the_oldest_ends(owner: Person, browser: Browser) -> None:
    past = timezone.now() - datetime.timedelta(days=1)
    old = UserSession.objects.bulk_create(
        [UserSession(user=owner.user, session_key=f"k{number}", seen_at=past) for number in range(MOST_SESSIONS - 1)]
    )
    UserSession.objects.filter(pk__in=[each.pk for each in old]).update(created_at=past)
    browser_of(owner)
    assert UserSession.objects.filter(user=owner.user).count() == MOST_SESSIONS
    assert browser.get("/api/v1/me").status_code == 200


def test_a_session_from_before_they_were_kept_is_listed_too(owner: Person, browser: Browser) -> None:
    UserSession.objects.all().delete()
    assert [each["current"] for each in browser.get(SESSIONS).json()["results"]] == [True]


# The playground's token.


def test_a_token_is_for_inference_in_the_sessions_tenant_and_some_minutes(
    owner: Person, browser: Browser, token: str, valkey: redis.Redis
) -> None:
    entry = known(valkey, token)
    assert entry is not None
    assert (entry.tenant, entry.permissions) == (owner.tenant.id.hex, ["inference.use", "model.view"])
    assert entry.expires_at is not None
    assert 0 < entry.expires_at - timezone.now().timestamp() <= 600


def test_a_token_is_no_key_of_the_management_api_and_stands_in_no_list(
    owner: Person, browser: Browser, token: str
) -> None:
    assert with_key(token).get("/api/v1/me").status_code == 401
    assert browser.get("/api/v1/keys").json()["results"] == []
    with tenant_scope(owner.tenant):
        row = ApiKey.objects.get()
    assert browser.get(f"/api/v1/keys/{row.id}").status_code == 404
    assert call(browser, "DELETE", f"/api/v1/keys/{row.id}").status_code == 404
    assert call(browser, "PATCH", f"/api/v1/keys/{row.id}", name="mine").status_code == 404
    assert call(browser, "POST", f"/api/v1/keys/{row.id}/rotate").status_code == 404


def log_out(browser: Browser, owner: Person) -> None:
    browser.with_token("DELETE", "/api/v1/session")


def end_it_elsewhere(browser: Browser, owner: Person) -> None:
    call(browser_of(owner), "DELETE", OTHERS)


def take_the_role(browser: Browser, owner: Person) -> None:
    from tests.cast import make_person

    make_person(owner.tenant, "heir", "owner")
    change_member(acting=SYSTEM, tenant=owner.tenant, user_id=owner.user.id, role="auditor")


def suspend(browser: Browser, owner: Person) -> None:
    from tests.cast import make_person

    make_person(owner.tenant, "heir", "owner")
    change_member(acting=SYSTEM, tenant=owner.tenant, user_id=owner.user.id, state="suspended")


def reset_the_password(browser: Browser, owner: Person) -> None:
    change_password(acting=SYSTEM, user_id=owner.user.id, password=NEW)


def enter_another_tenant(browser: Browser, owner: Person) -> None:
    from tests.cast import make_tenant

    other = make_tenant("other")
    add_member(acting=SYSTEM, tenant=other, user=owner.user, role="owner")
    assert call(browser, "PUT", "/api/v1/session/tenant", tenant=str(other.id)).status_code == 200


@pytest.mark.parametrize(
    "end", [log_out, end_it_elsewhere, take_the_role, suspend, reset_the_password, enter_another_tenant]
)
def test_a_token_ends_with_its_session_and_with_its_users_rights(
    owner: Person, browser: Browser, token: str, valkey: redis.Redis, end: Any
) -> None:
    end(browser, owner)
    entry = known(valkey, token)
    assert entry is None or "inference.use" not in entry.permissions
    parsed = parse_key(token)
    assert parsed is not None
    assert directory.known_keys([parsed[0]]).get(parsed[0]) == entry


def test_who_may_use_no_model_and_a_key_get_no_token(
    viewer: Person, key_api: APIClient, anonymous_api: APIClient, valkey: redis.Redis
) -> None:
    assert call(browser_of(viewer), "POST", TOKEN).status_code == 403
    assert key_api.post(TOKEN).status_code == 403
    assert anonymous_api.post(TOKEN).status_code == 401


def test_a_session_has_so_many_tokens_and_the_oldest_gives_way(
    owner: Person, browser: Browser, token: str, valkey: redis.Redis
) -> None:
    later = [call(browser, "POST", TOKEN).json()["token"] for _ in range(playground.MOST_OF_SESSION)]
    assert known(valkey, token) is None
    assert all(known(valkey, each) is not None for each in later)


def test_a_page_of_another_site_cannot_fetch_a_token(owner: Person, browser: Browser) -> None:
    assert browser.post(TOKEN).status_code == 403


def test_using_a_key_for_the_management_api_is_using_it(
    owner_key: Key, key_api: APIClient, valkey: redis.Redis
) -> None:
    assert key_api.get("/api/v1/me").status_code == 200
    assert float(valkey.hget(keys.KEYS_USED, owner_key.row.id.hex) or 0) > 0

"""What holds at every address of the management API: lists, conditional changes, repeated creations, many changes at once, deprecation."""

from __future__ import annotations

import datetime
import threading
import uuid
from typing import Any

import pytest
from django.db import connection, connections
from django.urls import get_resolver
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity.actions import idempotency
from ollamamax.identity.api import problems, rules
from ollamamax.identity.api.base import View
from ollamamax.identity.changes import one_at_a_time
from ollamamax.identity.models import ApiKey, IdempotentAnswer
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.architecture.test_routes import routes
from tests.cast import Key, Person, logged_in, make_key, with_key
from tests.patience import LONG

pytestmark = pytest.mark.django_db
KEYS = "/api/v1/keys"
VIEWS: list[tuple[str, Any]] = [
    (path, view.cls)
    for path, view in routes(get_resolver().url_patterns)
    if issubclass(getattr(view, "cls", object), View)
]
LISTS = [
    (path, view)
    for path, view in VIEWS
    if (view.orderings or (view.filters is not None and view.pagination_class is not None))
    and "<" not in path  # a list that belongs to one thing is asked for by the tests of that thing
]
CREATED_ELSEWHERE = {
    "session",
    "audit/erasures",  # creates nothing, and done again finds nobody
    "audit/holds/<uuid:hold_id>/release",  # done again changes nothing
    "incidents/<uuid:incident_id>/acknowledge",  # done again changes nothing
    "incidents/<uuid:incident_id>/recovery",  # of one node one runs at a time
    "incidents/<uuid:incident_id>/silence",  # creates nothing, and sets an end
    "nodes/join",
    "tenants/<uuid:tenant_id>/deletion",  # asked for again it stays as it is, its date too
    "requests/<str:request_id>/cancel",  # creates nothing, and done again changes nothing
    "sso/providers/<uuid:provider_id>/dry-run",  # creates nothing
    "sso/providers/<uuid:provider_id>/test",  # a way to a page, of the session
    "sso/domains/<uuid:domain_id>/verify",  # done again changes nothing
    "sso/doors",  # creates nothing
    "sso/link",  # logs in
    "sso/directory-log-in",  # logs in
    "sso/log-out",
    "account/identities",  # a way to a page, of the session
    "invitations/open",  # only shows what the link is for
    "invitations/accept",  # once, by its token
    "session/factor",  # the second half of a log-in, which a code is good for once
    "session/factor/options",  # what is to be signed, for one answer
    "session/passkey",  # logs in
    "session/passkey/options",
    "session/confirm",  # a session that was confirmed is confirmed
    "session/confirm/options",
    "account/authenticators",  # a secret for its page, of which nothing counts before it is confirmed
    "account/authenticators/<uuid:factor_id>/confirm",  # once, by a code
    "account/passkeys",  # once, by what was signed
    "account/passkeys/options",
    "account/recovery-codes",  # new ones in the place of those before
    "keys/report-leak",  # done again changes nothing
    "account/reset",  # nobody is known yet
    "account/reset/password",  # once, by its token
    "tenants/<uuid:tenant_id>/suspend",  # creates nothing, and done again changes nothing
    "tenants/<uuid:tenant_id>/resume",
    "batches/<uuid:batch_id>/cancel",  # creates nothing, and done again changes nothing
    "bundles/upload-token",  # a token of some minutes, of which a page has many
    "playground/token",  # a secret of some minutes, of which a page has many: nothing is kept of it
}


def created(api: APIClient, key: str | None = "k-1", **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post(KEYS, {"name": "ci"} | body, format="json", headers=headers)


# Lists.


def test_every_view_follows_the_rules_that_count_for_it() -> None:
    for path, view in VIEWS:
        name = path.removeprefix("api/v1/")
        if hasattr(view, "get_queryset") and view.get_queryset is not View.get_queryset:
            assert view.orderings or view.filters, f"{path} is a list that cannot be filtered or ordered"
        if "POST" in view.permissions:
            assert view.creates or name in CREATED_ELSEWHERE, f"{path} creates without an Idempotency-Key"
        if {"PATCH", "DELETE"} & view.permissions.keys() and "GET" in view.permissions and name != "session":
            assert view.etagged, f"{path} is changed without an ETag"


@pytest.mark.parametrize(("path", "view"), LISTS, ids=[path for path, _ in LISTS])
def test_a_list_takes_its_own_parameters_only(operator_api: APIClient, path: str, view: type[View]) -> None:
    address = f"/{path}"
    fields: dict[str, Any] = dict(view.filters().fields) if view.filters else {}
    needed: dict[str, Any] = {str(name): next(iter(each.choices)) for name, each in fields.items() if each.required}
    refused = operator_api.get(address, {"colour": "red"})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["colour"])
    refused = operator_api.get(address, {**needed, "ordering": "secret_hash"})
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["ordering"])
    for name in view.orderings:
        for sign in ("", "-"):
            assert (
                operator_api.get(address, {**needed, "ordering": f"{sign}{name}", "limit": "1"}).status_code == 200
            ), name
    for field in fields:
        for value in ("true", "1", str(uuid.uuid4()), "2026-01-01T00:00:00Z"):
            assert operator_api.get(address, {**needed, str(field): value}).status_code in {200, 400}, (field, value)


@pytest.mark.parametrize("ordering", ["name", "-name", "created_at", "-created_at"])
def test_pages_in_any_order_hold_everything_once(owner: Person, owner_api: APIClient, ordering: str) -> None:
    for name in ("b", "a", "c", "a", "b", "b", "a"):
        # One name belongs to one key at a time.
        assert owner_api.delete(f"{KEYS}/{make_key(owner, name=name).row.id}").status_code == 204
    found: list[dict[str, Any]] = []
    address: str | None = f"{KEYS}?limit=2&ordering={ordering}"
    while address is not None:
        page = owner_api.get(address).json()
        found += page["results"]
        address = page["next"]
    assert len({key["id"] for key in found}) == len(found) == 7
    values = [key[ordering.removeprefix("-")] for key in found]
    assert values == sorted(values, reverse=ordering.startswith("-"))


def test_a_filter_shows_what_it_says_and_nothing_of_others(
    owner: Person, owner_api: APIClient, stranger: Person, stranger_key: Key
) -> None:
    one, other = make_key(owner, name="Night shift"), make_key(owner, name="day")
    owner_api.delete(f"{KEYS}/{other.row.id}")

    def names(**query: Any) -> list[str]:
        return [key["name"] for key in owner_api.get(KEYS, query).json()["results"]]

    assert names(name="night") == names(revoked="false") == ["Night shift"]
    assert names(revoked="true") == ["day"]
    assert sorted(names(created_by=str(owner.user.id))) == ["Night shift", "day"]
    assert names(created_by=str(stranger.user.id)) == []
    assert names(created_since=one.row.created_at.isoformat(), created_until=other.row.created_at.isoformat()) == [
        "Night shift"
    ]


# Errors of fields.


def test_errors_of_fields_have_one_form(owner_api: APIClient) -> None:
    answer = owner_api.post(KEYS, {"limits": {"tokens_per_minute": 0}, "permissions": ["x"]}, format="json")
    fields = answer.json()["fields"]
    assert fields.keys() == {"name", "limits.tokens_per_minute", "permissions.0"}
    assert all(isinstance(each, list) and all(isinstance(text, str) for text in each) for each in fields.values())
    # What an action finds wrong looks the same.
    answer = owner_api.post(KEYS, {"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, format="json")
    assert list(answer.json()["fields"]) == ["expires_at"]
    assert problems.flat({"a": [{}, {"b": ["bad"]}], "non_field_errors": ["all of it"]}) == {
        "a.1.b": ["bad"],
        "": ["all of it"],
    }


# Changes of what was read.


def test_a_change_of_what_was_changed_since_is_refused(owner_api: APIClient, owner_key: Key) -> None:
    one = f"{KEYS}/{owner_key.row.id}"
    read = owner_api.get(one)["ETag"]
    assert owner_api.get(one)["ETag"] == read

    def change(name: str, tag: str) -> Any:
        return owner_api.patch(one, {"name": name}, format="json", headers={"If-Match": tag})

    changed = change("first", read)
    assert changed.status_code == 200
    assert changed["ETag"] == owner_api.get(one)["ETag"] != read
    refused = change("second", read)
    assert (refused.status_code, refused.json()["code"]) == (412, "precondition_failed")
    assert owner_api.get(one).json()["name"] == "first"
    assert owner_api.delete(one, headers={"If-Match": read}).status_code == 412
    assert change("third", f'"other", {changed["ETag"]}').status_code == 200
    assert change("fourth", "*").status_code == 200


def test_what_changes_by_itself_is_no_part_of_the_etag(owner: Person, owner_api: APIClient, owner_key: Key) -> None:
    one = f"{KEYS}/{owner_key.row.id}"
    read = owner_api.get(one)["ETag"]
    with tenant_scope(owner.tenant):
        ApiKey.objects.update(last_used_at=datetime.datetime.now(datetime.UTC))
    assert owner_api.get(one)["ETag"] == read


def test_a_condition_tells_a_stranger_nothing(stranger_api: APIClient, owner_api: APIClient, owner_key: Key) -> None:
    one = f"{KEYS}/{owner_key.row.id}"
    for tag in (owner_api.get(one)["ETag"], '"x"', "*"):
        for answer in (
            stranger_api.patch(one, {"name": "x"}, format="json", headers={"If-Match": tag}),
            stranger_api.delete(one, headers={"If-Match": tag}),
        ):
            assert answer.status_code == 404


@pytest.mark.django_db(transaction=True)
def test_of_two_conditional_changes_at_once_one_is_made(owner: Person, owner_key: Key) -> None:
    """Both begin while the first could not: whoever waited sees that it is changed."""
    one = f"{KEYS}/{owner_key.row.id}"
    tag = logged_in(owner).get(one)["ETag"]
    found: list[int] = []

    def change(name: str) -> None:
        answer = logged_in(owner).patch(one, {"name": name}, format="json", headers={"If-Match": tag})
        found.append(answer.status_code)
        connections.close_all()

    threads = [threading.Thread(target=change, args=(name,)) for name in ("a", "b")]
    with one_at_a_time(f"change:KeyView:{owner.tenant.id.hex}:{owner_key.row.id}"):
        for thread in threads:
            thread.start()
        wait_for_locks(2)
        assert found == []
    for thread in threads:
        thread.join(LONG)
    assert sorted(found) == [200, 412]


def wait_for_locks(number: int) -> None:
    """Until so many connections wait for an advisory lock."""
    held = threading.Event()
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            if cursor.fetchone()[0] >= number:
                return
        held.wait(0.02)
    raise AssertionError("nobody waits")


# Creations that are repeated.


def test_a_repeated_creation_gets_the_same_answer_and_creates_nothing(owner: Person, owner_api: APIClient) -> None:
    first, again = created(owner_api), created(owner_api)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.json()["secret"] == first.json()["secret"]
    assert (again["Idempotency-Replayed"], again["Cache-Control"]) == ("true", "no-store")
    assert "Idempotency-Replayed" not in first
    with tenant_scope(owner.tenant):
        assert ApiKey.objects.count() == 1
        kept = IdempotentAnswer.objects.get()
    assert first.json()["secret"].encode() not in bytes(kept.answer)
    assert AuditRecord.objects.filter(action="key.issue").count() == 1
    # Without it, or with another one, it is another request: for a name that is taken.
    assert [created(owner_api, key).status_code for key in ("k-2", None)] == [409, 409]
    assert owner_api.delete(f"{KEYS}/{first.json()['id']}").status_code == 204
    assert created(owner_api, "k-2").json()["id"] != first.json()["id"]
    assert created(owner_api).json() == first.json()


def test_a_key_of_another_request_or_under_way_is_a_conflict(owner: Person, owner_api: APIClient) -> None:
    created(owner_api)
    assert created(owner_api, name="other").status_code == 409
    assert owner_api.post("/api/v1/roles", {}, format="json", headers={"Idempotency-Key": "k-1"}).status_code == 409
    with tenant_scope(owner.tenant):
        IdempotentAnswer.objects.update(status=None)
    under_way = created(owner_api)
    assert (under_way.status_code, under_way["Retry-After"]) == (409, "1")
    # Whoever did it died before the answer was kept: nothing is created a second time.
    with tenant_scope(owner.tenant):
        past = datetime.datetime.now(datetime.UTC) - idempotency.PATIENCE
        IdempotentAnswer.objects.update(created_at=past)
    assert "not known" in created(owner_api).json()["detail"]
    with tenant_scope(owner.tenant):
        assert ApiKey.objects.count() == 1


def test_a_refused_creation_may_be_repeated_under_its_key(owner: Person, owner_api: APIClient) -> None:
    assert created(owner_api, permissions=["x"]).status_code == 400
    with tenant_scope(owner.tenant):
        assert not IdempotentAnswer.objects.exists()
    assert created(owner_api).status_code == 201


@pytest.mark.parametrize("key", ["x" * 256, "a b", "ä", ""])
def test_a_key_has_a_form(owner_api: APIClient, key: str) -> None:
    assert created(owner_api, key).status_code == 400


def test_a_key_is_its_callers_alone_and_ends(owner: Person, owner_api: APIClient, stranger_api: APIClient) -> None:
    made = created(owner_api).json()
    another = with_key(make_key(owner).text)
    assert created(stranger_api).json()["id"] != made["id"]
    owner_api.delete(f"{KEYS}/{made['id']}")
    theirs = created(another).json()
    assert theirs["id"] != made["id"]
    owner_api.delete(f"{KEYS}/{theirs['id']}")
    with every_tenant():
        IdempotentAnswer.objects.update(expires_at=datetime.datetime.now(datetime.UTC))
    assert created(owner_api).json()["id"] != made["id"]
    assert idempotency.sweep() == 2


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_creates(owner: Person) -> None:
    """All send the same; some are told to wait, and of the rest all have one answer."""
    barrier = threading.Barrier(4)
    answers: list[Any] = []

    def create() -> None:
        api = logged_in(owner)
        barrier.wait(LONG)
        answers.append(created(api))
        connections.close_all()

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["secret"] for answer in answers if answer.status_code == 201}) == 1
    with tenant_scope(owner.tenant):
        assert ApiKey.objects.count() == 1


# Many changes at once.


def bulk(api: APIClient, *items: dict[str, Any], noun: str = "keys") -> Any:
    return api.post(f"/api/v1/{noun}/bulk", {"items": list(items)}, format="json")


def test_many_changes_go_each_as_alone(owner: Person, owner_api: APIClient, stranger_key: Key) -> None:
    one, other, third = (make_key(owner, name=name).row.id for name in ("one", "other", "third"))
    answer = bulk(
        owner_api,
        {"id": str(one), "method": "PATCH", "body": {"name": "uno"}},
        {"id": str(other), "method": "PATCH", "body": {"nome": "x"}},
        {"id": str(stranger_key.row.id), "method": "DELETE"},
        {"id": str(third), "method": "PATCH", "body": {"name": "x"}, "if_match": '"old"'},
        {"id": str(third), "method": "DELETE"},
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [200, 400, 404, 412, 204]
    assert [each["id"] for each in results] == [str(each) for each in (one, other, stranger_key.row.id, third, third)]
    assert results[0]["body"]["name"] == "uno"
    assert list(results[1]["body"]["fields"]) == ["nome"]
    assert results[4]["body"] is None
    assert with_key(stranger_key.text).get("/api/v1/me").status_code == 200
    assert AuditRecord.objects.filter(action__in=["key.change", "key.revoke"]).count() == 2


@pytest.mark.parametrize("noun", ["keys", "members", "roles", "grants", "tenants", "nodes", "models", "aliases"])
def test_each_of_many_needs_the_permission_of_its_method(
    viewer_api: APIClient, owner_api: APIClient, anonymous_api: APIClient, noun: str
) -> None:
    item: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "method": "DELETE" if noun not in {"tenants", "models"} else "PATCH",
        "body": {},
    }
    (result,) = bulk(viewer_api, item, noun=noun).json()["results"]
    assert result["status"] == 403
    (result,) = bulk(owner_api, item, noun=noun).json()["results"]
    assert result["status"] in {400, 403 if noun == "tenants" else 404}
    assert bulk(anonymous_api, item, noun=noun).status_code == 401
    (result,) = bulk(
        owner_api, item | {"method": "DELETE" if item["method"] == "PATCH" else "PATCH"}, noun=noun
    ).json()["results"]
    assert result["status"] in {400, 404, 405}


def test_many_are_not_too_many(owner_api: APIClient) -> None:
    item = {"id": str(uuid.uuid4()), "method": "DELETE"}
    assert bulk(owner_api).status_code == 400
    assert bulk(owner_api, *[item] * 101).status_code == 400
    assert bulk(owner_api, item | {"method": "GET"}).status_code == 400
    assert bulk(owner_api, *[item] * 100).status_code == 200


# What will go.


def test_what_will_go_says_when_and_what_to_use(owner_api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Deprecation" not in owner_api.get(KEYS)
    since = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    sunset = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    found = rules.Deprecated(since, sunset, "https://ollamamax.example/docs/keys")
    monkeypatch.setattr(rules, "DEPRECATED", {("GET", "api/v1/keys"): found})
    answer = owner_api.get(KEYS)
    assert answer["Deprecation"] == "@1767225600"
    assert answer["Sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer["Link"] == '<https://ollamamax.example/docs/keys>; rel="deprecation"'
    schema = owner_api.get("/api/v1/schema/", headers={"accept": "application/json"}).json()
    assert schema["paths"][KEYS]["get"]["deprecated"] is True
    assert "deprecated" not in schema["paths"][KEYS]["post"]

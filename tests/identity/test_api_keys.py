"""`/api/v1/keys`: list, issue, look at, revoke. How they are limited: `test_api_key_limits`."""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ollamamax.identity.keys import matches, parse_key
from ollamamax.identity.models import ApiKey, Membership
from ollamamax.identity.scope import tenant_scope
from tests.cast import Key, Person, make_key, with_key

pytestmark = pytest.mark.django_db
KEYS = "/api/v1/keys"


def test_an_owner_issues_a_key_and_sees_its_secret_once(owner: Person, owner_api: APIClient) -> None:
    answer = owner_api.post(KEYS, {"name": "ci", "permissions": ["inference.use"]}, format="json")
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    made = answer.json()
    parsed = parse_key(made["secret"])
    assert parsed is not None
    assert parsed[0] == made["identifier"]
    with tenant_scope(owner.tenant):
        stored = ApiKey.objects.get(pk=made["id"])
    assert matches(parsed[1], stored.secret_hash)
    assert parsed[1] not in stored.secret_hash
    again = owner_api.get(f"{KEYS}/{made['id']}").json()
    assert "secret" not in again
    assert again["name"] == "ci"
    assert (again["created_by"], again["created_by_name"]) == (str(owner.user.id), owner.user.email)


def test_no_two_keys_have_one_name_until_the_first_is_revoked(
    owner_api: APIClient, stranger_api: APIClient, owner_key: Key
) -> None:
    made = owner_api.post(KEYS, {"name": "ci"}, format="json").json()
    refused = owner_api.post(KEYS, {"name": " ci "}, format="json")
    assert (refused.status_code, list(refused.json()["fields"])) == (409, ["name"])
    assert owner_api.patch(f"{KEYS}/{owner_key.row.id}", {"name": "ci"}, format="json").status_code == 409
    assert stranger_api.post(KEYS, {"name": "ci"}, format="json").status_code == 201
    assert owner_api.delete(f"{KEYS}/{made['id']}").status_code == 204
    assert owner_api.patch(f"{KEYS}/{owner_key.row.id}", {"name": "ci"}, format="json").status_code == 200


def test_a_key_tells_who_made_it_when_they_are_gone_and_works_no_more(
    owner: Person, member: Person, owner_api: APIClient
) -> None:
    made = make_key(member, name="theirs")
    assert with_key(made.text).get(KEYS).status_code == 200
    with tenant_scope(owner.tenant):
        Membership.objects.filter(user=member.user).delete()
    member.user.delete()
    shown = owner_api.get(f"{KEYS}/{made.row.id}").json()
    assert (shown["created_by"], shown["created_by_name"]) == (None, member.user.email)
    assert with_key(made.text).get(KEYS).status_code == 401


def test_a_key_works_as_a_bearer_until_it_is_revoked(owner_api: APIClient) -> None:
    made = owner_api.post(KEYS, {"name": "x", "permissions": ["key.view"]}, format="json").json()
    program = with_key(made["secret"])
    assert program.get(KEYS).status_code == 200
    assert owner_api.delete(f"{KEYS}/{made['id']}").status_code == 204
    refused = program.get(KEYS)
    assert refused.status_code == 401
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["WWW-Authenticate"] == "Bearer"


def test_revoking_twice_changes_nothing(owner_api: APIClient, owner_key: Key, owner: Person) -> None:
    assert owner_api.delete(f"{KEYS}/{owner_key.row.id}").status_code == 204
    with tenant_scope(owner.tenant):
        first = ApiKey.objects.get(pk=owner_key.row.id).revoked_at
        assert owner_api.delete(f"{KEYS}/{owner_key.row.id}").status_code == 204
        assert ApiKey.objects.get(pk=owner_key.row.id).revoked_at == first


def test_an_expired_key_is_refused(owner: Person) -> None:
    key = make_key(owner, expires_at=timezone.now() + datetime.timedelta(hours=1))
    with tenant_scope(owner.tenant):
        ApiKey.objects.filter(pk=key.row.id).update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert with_key(key.text).get("/api/v1/me").status_code == 401


def test_a_stranger_sees_and_touches_nothing(
    owner_key: Key, stranger_api: APIClient, stranger_key_api: APIClient, stranger_key: Key
) -> None:
    for api in (stranger_api, stranger_key_api):
        assert [k["id"] for k in api.get(KEYS).json()["results"]] == [str(stranger_key.row.id)]
        assert api.get(f"{KEYS}/{owner_key.row.id}").status_code == 404
        assert api.delete(f"{KEYS}/{owner_key.row.id}").status_code == 404
    assert with_key(owner_key.text).get("/api/v1/me").status_code == 200


def test_nobody_unknown_gets_in(anonymous_api: APIClient, owner_key: Key) -> None:
    for answer in (
        anonymous_api.get(KEYS),
        anonymous_api.post(KEYS, {"name": "x"}, format="json"),
        anonymous_api.delete(f"{KEYS}/{owner_key.row.id}"),
    ):
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Bearer omx_short", "Basic b3duZXI6eA==", "Bearer omx_" + "a" * 16 + "_" + "b" * 43, "\xff"],
)
def test_what_is_no_key_is_refused(anonymous_api: APIClient, header: str, db: None) -> None:
    assert anonymous_api.get("/api/v1/me", HTTP_AUTHORIZATION=header).status_code == 401


def test_the_right_identifier_with_a_wrong_secret_is_refused(owner_key: Key) -> None:
    wrong = owner_key.text[:-1] + ("A" if owner_key.text[-1] != "A" else "B")
    assert with_key(wrong).get("/api/v1/me").status_code == 401


def test_a_viewer_looks_but_issues_nothing(viewer_api: APIClient, owner_key: Key) -> None:
    assert viewer_api.get(KEYS).status_code == 200
    refused = viewer_api.post(KEYS, {"name": "x"}, format="json")
    assert refused.status_code == 403
    assert refused.json()["permission"] == "key.manage"
    assert viewer_api.delete(f"{KEYS}/{owner_key.row.id}").status_code == 403


def test_a_member_revokes_their_own_keys_only(member_api: APIClient, member: Person, owner_key: Key) -> None:
    own = make_key(member)
    assert member_api.delete(f"{KEYS}/{owner_key.row.id}").status_code == 404
    assert member_api.delete(f"{KEYS}/{own.row.id}").status_code == 204


def test_a_members_key_revokes_that_members_keys_only(member: Person, owner_key: Key) -> None:
    program, other = make_key(member), make_key(member)
    api = with_key(program.text)
    assert api.delete(f"{KEYS}/{owner_key.row.id}").status_code == 404
    assert api.delete(f"{KEYS}/{other.row.id}").status_code == 204


def test_nobody_gives_a_key_more_than_they_have(member_api: APIClient, inference_key: Key) -> None:
    refused = member_api.post(KEYS, {"name": "x", "permissions": ["node.manage"]}, format="json")
    assert refused.status_code == 403
    assert with_key(inference_key.text).post(KEYS, {"name": "x"}, format="json").status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": None}, "name"),
        ({"name": ["x"]}, "name"),
        ({"name": {"x": 1}}, "name"),
        ({"name": "x", "permissions": "inference.use"}, "permissions"),
        ({"name": "x", "permissions": []}, "permissions"),
        ({"name": "x", "permissions": ["root"]}, "permissions"),
        ({"name": "x", "permissions": [["inference.use"]]}, "permissions"),
        ({"name": "x", "permissions": ["inference.use"] * 50}, "permissions"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "x", "expires_at": 12}, "expires_at"),
    ],
)
def test_a_wrong_field_is_named(owner_api: APIClient, body: dict[str, Any], field: str) -> None:
    answer = owner_api.post(KEYS, json.dumps(body), content_type="application/json")
    problem = answer.json()
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["code"] == "invalid_request"
    assert problem["status"] == 400
    assert field in {path.split(".")[0] for path in problem["fields"]}


def test_a_key_cannot_expire_in_the_past(owner_api: APIClient) -> None:
    answer = owner_api.post(KEYS, {"name": "x", "expires_at": "2001-01-01T00:00:00Z"}, format="json")
    assert answer.status_code == 400
    assert answer.json()["param"] == "expires_at"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"null", 400),
        (b'{"name": NaN}', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
        (b'{"name": "' + b"x" * (1 << 20) + b'"}', 413),
    ],
)
def test_a_body_that_is_no_small_json_object_is_refused(owner_api: APIClient, body: bytes, status: int) -> None:
    answer = owner_api.post(KEYS, body, content_type="application/json")
    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"


def test_other_media_types_and_methods_are_refused(owner_api: APIClient) -> None:
    assert owner_api.post(KEYS, "name=x", content_type="application/x-www-form-urlencoded").status_code == 415
    for method in ("put", "patch", "delete", "options", "trace"):
        answer = owner_api.generic(method.upper(), KEYS)
        assert answer.status_code == 405, method
        assert answer.json()["code"] == "method_not_allowed"


def test_ids_that_are_none_are_not_found(owner_api: APIClient) -> None:
    assert owner_api.get(f"{KEYS}/{uuid.uuid4()}").status_code == 404
    answer = owner_api.get(f"{KEYS}/1;drop")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_a_list_comes_in_pages(owner: Person, owner_api: APIClient) -> None:
    made = [make_key(owner, name=f"k{i}").row.id for i in range(5)]
    first = owner_api.get(KEYS, {"limit": 3}).json()
    second = owner_api.get(first["next"]).json()
    assert [k["id"] for k in first["results"] + second["results"]] == [str(i) for i in reversed(made)]
    assert second["next"] is None
    assert owner_api.get(second["previous"]).json()["results"] == first["results"]


@pytest.mark.parametrize("cursor", ["x", "cD1hYmM=", "cD0lMDA=", "%00", "cj0xJnA9MQ=="])
def test_a_broken_cursor_is_the_callers_fault(owner_api: APIClient, owner_key: Key, cursor: str) -> None:
    assert owner_api.get(KEYS, {"cursor": cursor}).status_code in (400, 404)


def test_a_list_takes_few_queries(owner: Person, owner_api: APIClient, django_assert_max_num_queries: Any) -> None:
    for i in range(10):
        make_key(owner, name=f"k{i}")
    with django_assert_max_num_queries(4):  # session, user, membership, keys
        assert owner_api.get(KEYS).status_code == 200

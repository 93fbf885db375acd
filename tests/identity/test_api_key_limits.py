"""`/api/v1/keys`: limits and priority of a key, given when it is issued and changed later."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from ollamamax.identity import directory
from ollamamax.identity.models.limits import LIMITS
from tests.cast import Key, Person, logged_in, make_key, make_person, with_key

pytestmark = pytest.mark.django_db
KEYS = "/api/v1/keys"
NONE = dict.fromkeys(LIMITS)


def patch(api: APIClient, key: Key, **body: Any) -> Any:
    return api.patch(f"{KEYS}/{key.row.id}", body, format="json")


def test_a_key_has_no_limits_and_normal_priority_unless_it_is_said(owner_api: APIClient) -> None:
    made = owner_api.post(KEYS, {"name": "x"}, format="json").json()
    assert (made["limits"], made["priority"]) == (NONE, "normal")
    body = {"name": "y", "limits": {"requests_per_minute": 60, "tokens_per_minute": None}, "priority": "high"}
    made = owner_api.post(KEYS, body, format="json").json()
    assert (made["limits"], made["priority"]) == (NONE | {"requests_per_minute": 60}, "high")
    assert owner_api.get(f"{KEYS}/{made['id']}").json()["limits"] == made["limits"]


def test_a_change_leaves_what_it_does_not_name(owner_api: APIClient, owner_key: Key) -> None:
    patch(owner_api, owner_key, limits={"requests_per_minute": 60, "concurrent_requests": 3}, priority="low")
    changed = patch(owner_api, owner_key, name="ci", limits={"requests_per_minute": None}).json()
    assert (changed["name"], changed["priority"]) == ("ci", "low")
    assert changed["limits"] == NONE | {"concurrent_requests": 3}
    assert patch(owner_api, owner_key, name="ci").status_code == 200


def test_strangers_viewers_and_the_unknown_change_nothing(
    stranger_api: APIClient, viewer_api: APIClient, anonymous_api: APIClient, owner_api: APIClient, owner_key: Key
) -> None:
    assert patch(stranger_api, owner_key, name="mine").status_code == 404
    assert patch(viewer_api, owner_key, name="mine").status_code == 403
    assert patch(anonymous_api, owner_key, name="mine").status_code == 401
    assert owner_api.get(f"{KEYS}/{owner_key.row.id}").json()["name"] == owner_key.row.name
    assert owner_api.patch(f"{KEYS}/{uuid.uuid4()}", {"name": "x"}, format="json").status_code == 404


def test_a_member_changes_their_own_keys_and_makes_none_high(
    member: Person, member_api: APIClient, owner_api: APIClient, owner_key: Key
) -> None:
    own = make_key(member)
    assert patch(member_api, owner_key, name="mine").status_code == 404
    assert patch(member_api, own, limits={"tokens_per_minute": 1000}).status_code == 200
    assert patch(member_api, own, priority="high").json()["permission"] == "member.manage"
    assert member_api.post(KEYS, {"name": "x", "priority": "high"}, format="json").status_code == 403
    assert patch(owner_api, own, priority="high").status_code == 200
    # What an owner gave stays when the member changes something else, or says the same again.
    assert patch(member_api, own, name="x", priority="high").json()["priority"] == "high"


def test_an_admins_key_gives_a_high_priority(owner: Person) -> None:
    admin = make_person(owner.tenant, "admin", "admin")
    assert (
        with_key(make_key(admin).text).post(KEYS, {"name": "x", "priority": "high"}, format="json").status_code == 201
    )
    assert logged_in(admin).post(KEYS, {"name": "y", "priority": "high"}, format="json").status_code == 201


def test_a_revoked_key_is_not_changed(owner_api: APIClient, owner_key: Key) -> None:
    owner_api.delete(f"{KEYS}/{owner_key.row.id}")
    assert patch(owner_api, owner_key, name="x").status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limits": {"requests_per_minute": 0}}, "limits"),
        ({"limits": {"requests_per_minute": -1}}, "limits"),
        ({"limits": {"requests_per_minute": 2**31}}, "limits"),
        ({"limits": {"requests_per_minute": 1.5}}, "limits"),
        ({"limits": {"requests_per_minute": True}}, "limits"),
        ({"limits": {"requests_per_minute": [1]}}, "limits"),
        ({"limits": {"per_second": 1}}, "limits"),
        ({"limits": [1]}, "limits"),
        ({"limits": None}, "limits"),
        ({"priority": "urgent"}, "priority"),
        ({"priority": None}, "priority"),
        ({"priority": ["low"]}, "priority"),
    ],
)
def test_a_wrong_field_is_named(owner_api: APIClient, owner_key: Key, body: dict[str, Any], field: str) -> None:
    for answer in (
        owner_api.post(KEYS, json.dumps({"name": "x"} | body), content_type="application/json"),
        owner_api.patch(f"{KEYS}/{owner_key.row.id}", json.dumps(body), content_type="application/json"),
    ):
        assert answer.status_code == 400
        assert field in {path.split(".")[0] for path in answer.json()["fields"]}


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 101}, {"permissions": []}, {"expires_at": "soon"}, []]
)
def test_a_change_names_something_that_can_be_changed(owner_api: APIClient, owner_key: Key, body: Any) -> None:
    answer = owner_api.patch(f"{KEYS}/{owner_key.row.id}", json.dumps(body), content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_a_key_is_strict_or_not_or_as_its_tenant_says(owner_api: APIClient, owner_key: Key) -> None:
    assert owner_api.post(KEYS, {"name": "n", "strict_fields": True}, format="json").json()["strict_fields"] is True
    identifier = owner_key.row.identifier
    for given in (True, False, None, True):
        assert patch(owner_api, owner_key, strict_fields=given).json()["strict_fields"] is given
        assert directory.known_keys([identifier])[identifier].strict_fields is given
    assert patch(owner_api, owner_key, name="other").json()["strict_fields"] is True

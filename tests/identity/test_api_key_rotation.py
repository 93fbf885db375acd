"""`/api/v1/keys/{id}/rotate`, and what else of a key can be changed: a rotated key has two texts for a while, and no more."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import redis
from django.utils import timezone
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.identity import directory
from ollamamax.identity.models import ApiKey
from ollamamax.identity.scope import tenant_scope
from tests.cast import Key, Person, make_key, with_key
from tests.identity.test_api_account import known

pytestmark = pytest.mark.django_db(transaction=True)
KEYS = "/api/v1/keys"


def rotate(api: APIClient, key: Key, **body: Any) -> Any:
    return api.post(f"{KEYS}/{key.row.id}/rotate", body, format="json")


def works(text: str) -> bool:
    return with_key(text).get("/api/v1/me").status_code == 200


def test_a_rotated_key_works_by_both_texts_until_the_overlap_is_over(
    owner: Person, owner_api: APIClient, valkey: redis.Redis
) -> None:
    key = make_key(owner, limits={"requests_per_minute": 7})
    answer = rotate(owner_api, key, overlap_seconds=3600)
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")
    new = answer.json()["secret"]
    assert works(key.text)
    assert works(new)
    old_entry, new_entry = known(valkey, key.text), known(valkey, new)
    assert old_entry is not None
    assert new_entry is not None
    assert (old_entry.id, old_entry.limits.requests_per_minute) == (new_entry.id, 7)
    assert new_entry.expires_at is None
    assert 3500 < (old_entry.expires_at or 0) - timezone.now().timestamp() <= 3600
    with tenant_scope(owner.tenant):
        ApiKey.objects.update(previous_until=timezone.now())
    assert not works(key.text)
    assert works(new)
    assert len(directory.known_keys()) == 1
    noted = AuditRecord.objects.get(action="key.rotate")
    assert new not in str(noted.detail)


def test_an_overlap_of_nothing_ends_the_text_before_at_once(
    owner_key: Key, owner_api: APIClient, valkey: redis.Redis
) -> None:
    new = rotate(owner_api, owner_key, overlap_seconds=0).json()["secret"]
    assert known(valkey, owner_key.text) is None
    assert not works(owner_key.text)
    assert works(new)


def test_a_second_rotation_ends_the_first_text_and_revoking_ends_all(
    owner_key: Key, owner_api: APIClient, valkey: redis.Redis
) -> None:
    second = rotate(owner_api, owner_key).json()["secret"]
    third = rotate(owner_api, owner_key).json()["secret"]
    assert [known(valkey, each) is None for each in (owner_key.text, second, third)] == [True, False, False]
    assert owner_api.delete(f"{KEYS}/{owner_key.row.id}").status_code == 204
    assert not any(known(valkey, each) or works(each) for each in (owner_key.text, second, third))
    assert rotate(owner_api, owner_key).status_code == 409


def test_who_may_not_change_a_key_does_not_rotate_it(
    owner: Person,
    member: Person,
    owner_key: Key,
    member_api: APIClient,
    viewer_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
    valkey: redis.Redis,
) -> None:
    refusals = [(member_api, 404), (viewer_api, 403), (stranger_api, 404), (anonymous_api, 401)]
    assert [rotate(api, owner_key).status_code for api, _ in refusals] == [status for _, status in refusals]
    assert rotate(member_api, make_key(member, name="own")).status_code == 201
    assert works(owner_key.text)


@pytest.mark.parametrize("overlap", [-1, 30 * 86_400 + 1, "x", 10**30])
def test_an_overlap_has_bounds(owner_key: Key, owner_api: APIClient, valkey: redis.Redis, overlap: Any) -> None:
    answer = rotate(owner_api, owner_key, overlap_seconds=overlap)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["overlap_seconds"])


def test_a_repeated_rotation_under_one_idempotency_key_rotates_once(
    owner_key: Key, owner_api: APIClient, valkey: redis.Redis
) -> None:
    headers = {"Idempotency-Key": "r-1"}
    path = f"{KEYS}/{owner_key.row.id}/rotate"
    first, again = (owner_api.post(path, {}, format="json", headers=headers).json() for _ in range(2))
    assert first["secret"] == again["secret"]
    assert works(owner_key.text)


def test_permissions_and_end_of_a_key_are_changed_within_what_its_changer_may(
    owner: Person, member: Person, owner_api: APIClient, member_api: APIClient, valkey: redis.Redis
) -> None:
    key = make_key(member, name="mine", permissions=["inference.use"])
    path = f"{KEYS}/{key.row.id}"

    def change(api: APIClient, **body: Any) -> Any:
        return api.patch(path, body, format="json")

    assert change(member_api, permissions=["inference.use", "node.manage"]).status_code == 403
    assert change(member_api, permissions=["inference.use", "key.view"]).json()["permissions"] == [
        "inference.use",
        "key.view",
    ]
    end = (timezone.now() + datetime.timedelta(days=3)).isoformat()
    assert change(member_api, expires_at=end).json()["expires_at"] is not None
    entry = known(valkey, key.text)
    assert entry is not None
    assert (entry.permissions, entry.expires_at is None) == (["inference.use", "key.view"], False)
    assert change(member_api, expires_at=None).json()["expires_at"] is None
    assert change(member_api, expires_at="2001-01-01T00:00:00Z").status_code == 400
    assert change(member_api, permissions=[]).status_code == 400

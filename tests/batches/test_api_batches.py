"""`/api/v1/batches` and `/api/v1/files`: what the console needs of them, by who may, as a key that is theirs."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from ollamamax.batches.models import Batch, File
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person, logged_in, make_key, make_person, with_key

pytestmark = pytest.mark.django_db(transaction=True)
BATCHES, FILES = "/api/v1/batches", "/api/v1/files"


@pytest.fixture
def file(owner: Person) -> File:
    with tenant_scope(owner.tenant):
        return File.objects.create(tenant=owner.tenant, purpose="batch", name="in.jsonl", size=9, sha256="0" * 64)


def ordered(api: APIClient, file: File, **more: Any) -> Any:
    body = {"input_file": str(file.id), "endpoint": "/v1/chat/completions"} | more
    return api.post(BATCHES, body, format="json")


def test_a_batch_is_ordered_seen_and_cancelled_by_its_tenant_alone(
    owner: Person,
    owner_api: APIClient,
    stranger_api: APIClient,
    viewer_api: APIClient,
    anonymous_api: APIClient,
    file: File,
) -> None:
    key = make_key(owner).row
    made = ordered(owner_api, file, key=str(key.id))
    assert made.status_code == 201, made.json()
    assert {name: made.json()[name] for name in ("status", "input_name", "key_name", "ended_at")} == {
        "status": "validating",
        "input_name": "in.jsonl",
        "key_name": key.name,
        "ended_at": None,
    }
    address = f"{BATCHES}/{made.json()['id']}"
    assert owner_api.get(address).json() == made.json()
    assert [each["id"] for each in owner_api.get(BATCHES, {"status": "validating"}).json()["results"]] == [
        made.json()["id"]
    ]
    assert owner_api.get(BATCHES, {"status": "failed"}).json()["results"] == []
    (listed,) = owner_api.get(FILES, {"name": "IN."}).json()["results"]
    assert (listed["id"], listed["needed"]) == (str(file.id), True)
    assert stranger_api.get(BATCHES).json()["results"] == stranger_api.get(FILES).json()["results"] == []
    assert [stranger_api.get(address).status_code, stranger_api.post(f"{address}/cancel").status_code] == [404, 404]
    assert ordered(stranger_api, file, key=str(key.id)).status_code == 404
    for path in (BATCHES, FILES, address):
        assert (viewer_api.get(path).status_code, anonymous_api.get(path).status_code) == (403, 401)
    cancelled = [owner_api.post(f"{address}/cancel").json()["status"] for _ in range(2)]
    assert cancelled == ["cancelling", "cancelling"]


def test_who_manages_no_members_orders_as_their_own_key_only(owner: Person, file: File) -> None:
    member = make_person(owner.tenant, "colleague", "member")
    api = logged_in(member)
    own, other = make_key(member).row, make_key(owner).row
    assert ordered(api, file, key=str(own.id)).status_code == 201
    assert ordered(api, file, key=str(other.id)).status_code == 404
    refused = ordered(api, file)
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["key"])
    key = make_key(member)
    assert ordered(with_key(key.text), file).json()["key"] == str(key.row.id)


def test_a_key_that_could_not_run_a_batch_to_its_end_is_refused(
    owner: Person, owner_api: APIClient, file: File
) -> None:
    past = timezone.now() - datetime.timedelta(seconds=1)
    for change in ({"revoked_at": past}, {"expires_at": past}, {"of_session": True}, {"permissions": ["key.view"]}):
        key = make_key(owner).row
        with tenant_scope(owner.tenant):
            type(key).objects.filter(pk=key.pk).update(**change)
        assert ordered(owner_api, file, key=str(key.id)).status_code in {400, 404}, change
    with tenant_scope(owner.tenant):
        assert not Batch.objects.exists()

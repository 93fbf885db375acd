"""`/api/v1/aliases`: list, create, look at, change, delete."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import pytest
import redis
from django.db import connection
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from models_registry.models import Model
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys, publication, regions
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person, logged_in
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)
ALIASES = "/api/v1/aliases"
GPT: dict[str, Any] = {"name": "gpt-4o", "target": "tiny:1b"}


def create(api: APIClient, **body: Any) -> Any:
    return api.post(ALIASES, {**GPT, **body}, format="json")


def published(valkey: redis.Redis, person: Person, name: str = "gpt-4o:latest") -> dict[str, Any] | None:
    found = valkey.hget(keys.directory("aliases"), f"{person.tenant.id.hex}/{name}")
    return None if found is None else json.loads(found)


def test_an_alias_is_made_changed_and_deleted_and_the_gateways_are_told(
    owner: Person, owner_api: APIClient, publish: Publish, valkey: redis.Redis
) -> None:
    publish(owner)
    publish(owner, "second")
    made = create(owner_api, fallbacks=[{"model": "second", "causes": ["no_capacity"], "after_seconds": 0}])
    assert made.status_code == 201
    alias = made.json()
    fallback = {"model": "second:latest", "causes": ["no_capacity"], "after_seconds": 0.0}
    assert (alias["name"], alias["target"], alias["fallbacks"]) == ("gpt-4o:latest", "tiny:1b", [fallback])
    told = published(valkey, owner)
    assert told is not None
    assert (told["target"], told["fallbacks"]) == ("tiny:1b", [fallback])
    one = f"{ALIASES}/{alias['id']}"
    assert owner_api.get(one).json() == alias
    assert [row["id"] for row in owner_api.get(ALIASES).json()["results"]] == [alias["id"]]
    assert owner_api.patch(one, {"fallbacks": []}, format="json").json()["target"] == "tiny:1b"
    assert owner_api.patch(one, {"target": "second"}, format="json").json()["target"] == "second:latest"
    told = published(valkey, owner)
    assert told is not None
    assert (told["target"], told["fallbacks"]) == ("second:latest", [])
    assert owner_api.delete(one).status_code == 204
    assert owner_api.delete(one).status_code == 404
    assert published(valkey, owner) is None
    actions = AuditRecord.objects.filter(action__startswith="alias.").values_list("action", flat=True)
    assert sorted(actions) == ["alias.change", "alias.change", "alias.create", "alias.delete"]


def test_changing_nothing_leaves_no_trace(owner: Person, owner_api: APIClient, publish: Publish) -> None:
    publish(owner)
    alias = create(owner_api).json()
    again = owner_api.patch(f"{ALIASES}/{alias['id']}", {"target": "tiny:1b"}, format="json")
    assert again.json()["changed_at"] == alias["changed_at"]
    assert not AuditRecord.objects.filter(action="alias.change").exists()


def test_the_loop_publishes_it_again(
    owner: Person, owner_api: APIClient, publish: Publish, valkey: redis.Redis
) -> None:
    publish(owner)
    create(owner_api)
    before = published(valkey, owner)
    valkey.delete(keys.directory("aliases"))
    valkey.hset(keys.directory("aliases"), f"{owner.tenant.id.hex}/stale:x", b"{}")
    publication.repair_lost(regions.own())
    assert published(valkey, owner) == before
    assert published(valkey, owner, "stale:x") is None


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"name": "tiny:1b", "target": "second"}, 409, "model 'tiny:1b' already"),
        ({"name": "other"}, 409, "alias 'other:latest' already"),
        ({"target": "other"}, 400, "alias itself"),
        ({"target": "nothing"}, 400, "no model 'nothing:latest'"),
        ({"target": "gpt-4o"}, 400, "itself"),
        ({"name": "a b"}, 400, "not a model name"),
        ({"name": "x" * 400}, 400, "340"),
        ({"name": 5.5, "target": ["x"]}, 400, "target"),
        ({"name": ""}, 400, "name"),
        ({"fallbacks": [{"model": "tiny:1b"}]}, 400, "itself"),
        ({"fallbacks": [{"model": "nothing"}]}, 400, "no model"),
        ({"fallbacks": [{"model": "second", "after_seconds": 61}]}, 400, "60"),
        ({"fallbacks": [{"model": "second", "causes": ["engine_error"], "after_seconds": 0}]}, 400, "no_capacity"),
        ({"to": "tiny:1b"}, 400, "no such field"),
    ],
)
def test_what_cannot_be_is_refused(
    owner: Person, owner_api: APIClient, publish: Publish, body: dict[str, Any], status: int, says: str
) -> None:
    publish(owner)
    publish(owner, "second")
    assert create(owner_api, name="other").status_code == 201
    answer = create(owner_api, **body)
    assert answer.status_code == status
    assert says in answer.content.decode()
    assert len(owner_api.get(ALIASES).json()["results"]) == 1


def test_who_may_look_and_who_may_change(
    owner: Person,
    owner_api: APIClient,
    member_api: APIClient,
    stranger: Person,
    stranger_api: APIClient,
    anonymous_api: APIClient,
    publish: Publish,
) -> None:
    publish(owner)
    one = f"{ALIASES}/{create(owner_api).json()['id']}"
    assert member_api.get(one).status_code == 200
    assert create(member_api, name="mine").status_code == 403
    assert member_api.patch(one, {}, format="json").status_code == 403
    assert member_api.delete(one).status_code == 403
    assert stranger_api.get(ALIASES).json()["results"] == []
    assert stranger_api.get(one).status_code == 404
    assert stranger_api.patch(one, {}, format="json").status_code == 404
    assert stranger_api.delete(one).status_code == 404
    # The name is free in another tenant; the model is not there.
    assert create(stranger_api).status_code == 400
    publish(stranger)
    assert create(stranger_api).status_code == 201
    assert anonymous_api.get(one).status_code == 401
    assert create(anonymous_api).status_code == 401
    assert owner_api.get(f"{ALIASES}/{uuid.uuid4()}").status_code == 404


def test_a_shared_model_can_be_named_and_stand_in(
    stranger: Person, stranger_api: APIClient, owner: Person, publish: Publish
) -> None:
    publish(owner, "theirs")
    assert create(stranger_api, target="theirs").status_code == 400
    with tenant_scope(owner.tenant):
        Model.objects.filter(name="theirs").update(shared=True)
    publish(stranger)
    assert create(stranger_api, target="theirs").status_code == 201
    assert create(stranger_api, name="other", fallbacks=[{"model": "theirs"}]).status_code == 201


def test_the_same_name_taken_by_many_at_once_is_taken_once(
    owner: Person, owner_api: APIClient, publish: Publish
) -> None:
    publish(owner)
    answers: list[int] = []

    def attempt() -> None:
        try:
            answers.append(create(logged_in(owner)).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 409, 409, 409]


def test_the_list_takes_the_same_queries_for_one_and_for_many(
    owner: Person,
    owner_api: APIClient,
    key_api: APIClient,
    publish: Publish,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    publish(owner)
    create(owner_api)
    with django_assert_num_queries(2):  # the key, the page
        key_api.get(ALIASES)
    for number in range(4):
        create(owner_api, name=f"a{number}")
    with django_assert_num_queries(2):
        key_api.get(ALIASES)

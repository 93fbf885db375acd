"""`/api/v1/models` and `/{id}`: how a model is served, and what stands in for it."""

from __future__ import annotations

import json
import threading
import uuid
from typing import Any

import msgspec
import pytest
import redis
from django.db import connection
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from models_registry.models import Model
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys, publication, regions
from ollamamax.contract.profile import Profile
from ollamamax.contract.tables import Fallback, Listed, ListedAlias
from ollamamax.identity.scope import every_tenant
from tests.cast import Person, logged_in
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = "/api/v1/models"
DEFAULTS: dict[str, Any] = {
    "strategy": "balanced",
    "num_ctx": None,
    "num_gpu": None,
    "outside": "refuse",
    "continue_streams": True,
    "first_byte_seconds": 120.0,
    "regions": [],
    "labels": {},
    "tolerations": [],
}
EVERYTHING = {
    "strategy": "affinity",
    "num_ctx": 256,
    "num_gpu": 0,
    "outside": "route",
    "continue_streams": False,
    "first_byte_seconds": 30.0,
    "regions": ["eu-1"],
    "labels": {"gpu": "h100"},
    "tolerations": ["gpu=h100", "spot:no_execute"],
}


def address(api: APIClient, name: str = "tiny:1b") -> str:
    return f"{MODELS}/{next(row['id'] for row in api.get(MODELS).json()['results'] if row['name'] == name)}"


def change(api: APIClient, where: str, **body: Any) -> Any:
    return api.patch(where, body, format="json")


def published(valkey: redis.Redis, person: Person, name: str = "tiny:1b") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(valkey.hget(keys.directory("models"), f"{person.tenant.id.hex}/{name}") or b"")
    return found


def test_a_profile_is_as_by_default_until_it_is_changed(owner: Person, owner_api: APIClient, publish: Publish) -> None:
    publish(owner)
    one = owner_api.get(address(owner_api)).json()
    assert one["profile"] == DEFAULTS
    assert (one["fallbacks"], one["reloads_avoided"]) == ([], 0)


def test_every_field_is_kept_told_and_published_for_all_names_of_the_model(
    owner: Person, owner_api: APIClient, publish: Publish, valkey: redis.Redis
) -> None:
    publish(owner, "tiny:1b", "latest")
    where = address(owner_api)
    answer = change(owner_api, where, profile=EVERYTHING)
    assert answer.status_code == 200
    assert answer.json()["profile"] == EVERYTHING
    assert owner_api.get(address(owner_api, "tiny:latest")).json()["profile"] == EVERYTHING
    for name in ("tiny:1b", "tiny:latest"):
        assert published(valkey, owner, name)["profile"] == EVERYTHING
    # One at a time; the others stay.
    assert change(owner_api, where, profile={"num_ctx": None}).json()["profile"] == {**EVERYTHING, "num_ctx": None}
    assert set(EVERYTHING) == set(Profile.__struct_fields__)


def test_the_gateway_reads_what_is_published(
    owner: Person, owner_api: APIClient, publish: Publish, valkey: redis.Redis
) -> None:
    publish(owner)
    publish(owner, "second")
    change(
        owner_api, address(owner_api), profile=EVERYTHING, fallbacks=[{"model": "second", "causes": ["engine_error"]}]
    )
    create = {"name": "gpt-4o", "target": "tiny:1b", "fallbacks": [{"model": "second"}]}
    assert owner_api.post("/api/v1/aliases", create, format="json").status_code == 201
    tenant = owner.tenant.id.hex
    entry = valkey.hget(keys.directory("models"), f"{tenant}/tiny:1b")
    listed = msgspec.json.decode(entry or b"", type=Listed)
    assert listed.profile == msgspec.convert(EVERYTHING, Profile)
    assert listed.fallbacks == (Fallback("second:latest", ("engine_error",)),)
    entry = valkey.hget(keys.directory("aliases"), f"{tenant}/gpt-4o:latest")
    alias = msgspec.json.decode(entry or b"", type=ListedAlias)
    assert alias.listing(listed).alias_of == "tiny:1b"
    assert alias.fallbacks == (Fallback("second:latest"),)


def test_the_loop_publishes_it_again(
    owner: Person, owner_api: APIClient, publish: Publish, valkey: redis.Redis
) -> None:
    publish(owner)
    change(owner_api, address(owner_api), profile={"num_ctx": 128})
    valkey.delete(keys.directory("models"))
    publication.repair_lost(regions.own())
    assert published(valkey, owner)["profile"] == {"num_ctx": 128}


def test_a_change_is_audited_once_and_repeating_it_is_not(
    owner: Person, owner_api: APIClient, publish: Publish
) -> None:
    publish(owner)
    where = address(owner_api)
    for _ in range(2):
        assert change(owner_api, where, profile={"num_ctx": 128}).status_code == 200
    record = AuditRecord.objects.get(action="model.configure")
    assert record.detail["after"]["profile"] == {"num_ctx": 128}
    assert record.detail["before"]["profile"] == {}


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ({"strategy": "luckiest"}, "strategy"),
        ({"num_ctx": 0}, "num_ctx"),
        ({"num_ctx": "many"}, "num_ctx"),
        ({"num_ctx": 1 << 30}, "num_ctx"),
        ({"num_gpu": -1}, "num_gpu"),
        ({"outside": "reload"}, "outside"),
        ({"continue_streams": "perhaps"}, "continue_streams"),
        ({"first_byte_seconds": 0.5}, "first_byte_seconds"),
        ({"first_byte_seconds": 100000}, "first_byte_seconds"),
        ({"first_byte_seconds": "nan"}, "first_byte_seconds"),
        ({"first_byte_seconds": True}, "first_byte_seconds"),
        ({"regions": "eu"}, "regions"),
        ({"regions": [""]}, "regions"),
        ({"regions": ["x" * 101]}, "regions"),
        ({"labels": ["gpu"]}, "labels"),
        ({"tolerations": ["gpu h100"]}, "tolerations"),
        ({"tolerations": ["gpu:evict"]}, "tolerations"),
        ({"tolerations": ["gpu"] * 33}, "tolerations"),
        ({"labels": {"gpu": "x" * 101}}, "labels"),
        ({"labels": {str(number): "x" for number in range(51)}}, "labels"),
        ({"num_batch": 5}, "num_batch"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(
    owner: Person, owner_api: APIClient, publish: Publish, profile: dict[str, Any], field: str
) -> None:
    publish(owner)
    answer = change(owner_api, address(owner_api), profile=profile)
    assert answer.status_code == 400
    assert f"profile.{field}" in {".".join(path.split(".")[:2]) for path in answer.json()["fields"]}
    assert owner_api.get(address(owner_api)).json()["profile"] == DEFAULTS


def test_more_context_than_the_model_has_is_refused(owner: Person, owner_api: APIClient, publish: Publish) -> None:
    publish(owner)
    answer = change(owner_api, address(owner_api), profile={"num_ctx": 513})
    assert answer.status_code == 400
    assert "at most 512" in answer.json()["detail"]
    assert change(owner_api, address(owner_api), nonsense=1).status_code == 400


def test_fallbacks_are_kept_in_their_order_and_published(
    owner: Person, owner_api: APIClient, publish: Publish, valkey: redis.Redis
) -> None:
    for name in ("tiny:1b", "second", "third:x"):
        publish(owner, name)
    given = [
        {"model": "third:x", "causes": ["engine_error", "no_capacity"], "after_seconds": 3},
        {"model": "second"},
    ]
    kept = [
        {"model": "third:x", "causes": ["no_capacity", "engine_error"], "after_seconds": 3.0},
        {
            "model": "second:latest",
            "causes": ["no_capacity", "context_too_long", "engine_error"],
            "after_seconds": None,
        },
    ]
    answer = change(owner_api, address(owner_api), fallbacks=given)
    assert answer.status_code == 200
    assert answer.json()["fallbacks"] == kept
    assert published(valkey, owner)["fallbacks"] == kept
    assert change(owner_api, address(owner_api), fallbacks=[]).json()["fallbacks"] == []


def test_fallbacks_from_before_there_was_a_time_have_none(
    owner: Person, owner_api: APIClient, publish: Publish
) -> None:
    publish(owner)
    kept = {"model": "second:latest", "causes": ["no_capacity"]}
    with every_tenant():
        Model.objects.update(fallbacks=[kept])
    assert owner_api.get(address(owner_api)).json()["fallbacks"] == [{**kept, "after_seconds": None}]


@pytest.mark.parametrize(
    ("fallbacks", "says"),
    [
        ([{"model": "tiny:1b"}], "itself"),
        ([{"model": "second"}, {"model": "second:latest"}], "twice"),
        ([{"model": "nothing"}], "no model 'nothing:latest'"),
        ([{"model": "a b"}], "not a model name"),
        ([{"model": "second", "causes": []}], "empty"),
        ([{"model": "second", "causes": ["rain"]}], "rain"),
        ([{"model": "second", "weight": 1}], "no such field"),
        ([{"causes": ["no_capacity"]}], "required"),
        ([{"model": "second", "after_seconds": "3"}], "number"),
        ([{"model": "second", "after_seconds": True}], "number"),
        ([{"model": "second", "after_seconds": [3]}], "number"),
        ([{"model": "second", "after_seconds": 60.5}], "60"),
        ([{"model": "second", "after_seconds": 10**400}], "too large"),
        ([{"model": "second", "after_seconds": -0.5}], "greater than or equal to 0"),
        ([{"model": "second", "causes": ["engine_error"], "after_seconds": 3}], "does not serve 'no_capacity'"),
        ([{"model": f"m{number}"} for number in range(6)], "no more than 5"),
        ("second", "list"),
    ],
)
def test_fallbacks_that_cannot_be_are_refused(
    owner: Person, owner_api: APIClient, publish: Publish, fallbacks: Any, says: str
) -> None:
    publish(owner)
    publish(owner, "second")
    answer = change(owner_api, address(owner_api), fallbacks=fallbacks)
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert owner_api.get(address(owner_api)).json()["fallbacks"] == []


def test_who_may_look_and_who_may_change(
    owner: Person,
    owner_api: APIClient,
    member_api: APIClient,
    viewer_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
    publish: Publish,
) -> None:
    publish(owner)
    where = address(owner_api)
    for api, looks, changes in (
        (member_api, 200, 403),
        (viewer_api, 200, 403),
        (stranger_api, 404, 404),
        (anonymous_api, 401, 401),
        (owner_api, 200, 200),
    ):
        assert api.get(where).status_code == looks
        assert change(api, where, profile={"num_ctx": 64}).status_code == changes
    assert change(owner_api, f"{MODELS}/{uuid.uuid4()}", profile={}).status_code == 404


def test_reloads_avoided_are_what_the_gateways_counted(
    owner: Person, owner_api: APIClient, publish: Publish, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(owner)
    valkey.hincrby(keys.RELOADS_AVOIDED, f"{owner.tenant.id.hex}/tiny:1b", 7)
    assert owner_api.get(MODELS).json()["results"][0]["reloads_avoided"] == 7

    def away(*_: object) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(regions.own().client, "hmget", away)
    assert owner_api.get(MODELS).json()["results"][0]["reloads_avoided"] is None


def test_the_list_takes_the_same_queries_for_one_and_for_many(
    owner: Person, key_api: APIClient, publish: Publish, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    publish(owner)
    with django_assert_num_queries(3):  # the key, the page, the replicas
        key_api.get(MODELS)
    for number in range(5):
        publish(owner, f"model-{number}")
    with django_assert_num_queries(3):
        key_api.get(MODELS)


def test_two_who_change_different_fields_at_once_both_succeed(
    owner: Person, owner_api: APIClient, publish: Publish
) -> None:
    publish(owner)
    where = address(owner_api)
    changes: list[dict[str, Any]] = [{"num_ctx": 100}, {"num_gpu": 3}, {"strategy": "fastest"}, {"outside": "route"}]

    def attempt(profile: dict[str, Any]) -> None:
        try:
            change(logged_in(owner), where, profile=profile)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(profile,)) for profile in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = {name: value for profile in changes for name, value in profile.items()}
    assert owner_api.get(where).json()["profile"] == {**DEFAULTS, **wanted}

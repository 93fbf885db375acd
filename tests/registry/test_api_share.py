"""`PATCH /api/v1/models/{id}`: the operator shares a model with every tenant."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from models_registry.models import Channel
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys, publication, regions
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person, logged_in, make_person
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)


def patch(api: APIClient, channel: Channel, **body: Any) -> Any:
    return api.patch(f"/api/v1/models/{channel.id}", body, format="json")


def first_channel(person: Person) -> Channel:
    with tenant_scope(person.tenant):
        return Channel.objects.order_by("name")[0]


def told(valkey: redis.Redis) -> dict[str, dict[str, Any]]:
    fields: dict[bytes, bytes] = valkey.hgetall(keys.directory("models"))
    return {name.decode(): json.loads(value) for name, value in fields.items() if name}


def test_a_shared_model_is_told_under_a_name_for_all(
    operator: Person, operator_api: APIClient, owner: Person, publish: Publish, valkey: redis.Redis
) -> None:
    version = publish(operator, "tiny:1b", "latest")
    channel = first_channel(operator)
    assert patch(operator_api, channel, shared=True).json()["shared"] is True
    assert told(valkey)["*/tiny:1b"] == told(valkey)[f"{operator.tenant.id.hex}/tiny:1b"]
    assert told(valkey)["*/tiny:latest"]["version"] == version.digest
    # A model of another tenant by the same name does not touch it; a further name of the shared one is shared.
    publish(owner, "tiny:1b")
    publish(operator, "tiny:new")
    shared = {name for name in told(valkey) if name.startswith("*/") and "@" not in name}
    assert shared == {"*/tiny:1b", "*/tiny:latest", "*/tiny:new"}
    valkey.flushall()
    publication.repair_lost(regions.own())
    assert {name for name in told(valkey) if name.startswith("*/") and "@" not in name} == shared


def test_a_model_that_is_shared_no_longer_is_gone_for_others(
    operator: Person, operator_api: APIClient, publish: Publish, valkey: redis.Redis
) -> None:
    publish(operator, "tiny:1b", "latest")
    channel = first_channel(operator)
    patch(operator_api, channel, shared=True)
    assert patch(operator_api, channel, shared=True).status_code == 200
    assert patch(operator_api, channel, shared=False).json()["shared"] is False
    assert not [name for name in told(valkey) if name.startswith("*/")]
    assert f"{operator.tenant.id.hex}/tiny:1b" in told(valkey)
    actions = AuditRecord.objects.filter(target_type="model").order_by("seq").values_list("action", flat=True)
    assert list(actions) == ["model.share", "model.unshare"]


def test_only_the_operator_shares_and_only_who_manages_models(
    operator: Person,
    operator_api: APIClient,
    owner: Person,
    owner_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
    publish: Publish,
    valkey: redis.Redis,
) -> None:
    publish(owner)
    publish(operator, "other:1b")
    own, operators = first_channel(owner), first_channel(operator)
    assert patch(owner_api, own, shared=True).status_code == 403
    assert patch(owner_api, own, shared=False).json()["shared"] is False
    assert patch(owner_api, operators, shared=False).status_code == 404
    assert patch(stranger_api, operators, shared=True).status_code == 403
    assert patch(operator_api, own, shared=True).status_code == 404
    assert patch(logged_in(make_person(operator.tenant, "m", "member")), operators, shared=True).status_code == 403
    assert patch(anonymous_api, operators, shared=True).status_code == 401
    assert not [name for name in told(valkey) if name.startswith("*/")]


@pytest.mark.parametrize("body", [{"shared": "perhaps"}, {"shared": None}, {"name": "x"}, []])
def test_a_change_names_what_can_be_changed(
    operator: Person, operator_api: APIClient, publish: Publish, body: Any
) -> None:
    publish(operator)
    address = f"/api/v1/models/{first_channel(operator).id}"
    assert operator_api.patch(address, body, format="json").status_code == 400
    address = f"/api/v1/models/{uuid.uuid4()}"
    assert operator_api.patch(address, {"shared": True}, format="json").status_code == 404

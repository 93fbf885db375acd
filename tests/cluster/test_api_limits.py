"""`/api/v1/limits`: what a tenant and its keys may ask for, and what is used of it, as the gateways' Redis counts it."""

from __future__ import annotations

import time

import pytest
import redis
from rest_framework.test import APIClient

from ollamamax.bus import keys, regions
from ollamamax.identity.actions.key import change_key
from tests.cast import Person, make_key

pytestmark = pytest.mark.django_db(transaction=True)
LIMITS = "/api/v1/limits"


def test_what_is_used_of_each_limit_is_told_to_the_tenant_alone(
    owner: Person,
    owner_api: APIClient,
    operator_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
    valkey: redis.Redis,
) -> None:
    key = make_key(owner).row
    free = make_key(owner).row
    change_key(acting=owner.acting, key_id=key.id, limits={"requests_per_minute": 60, "concurrent_requests": 4})
    tenant = str(owner.tenant.id)
    assert (
        operator_api.patch(
            f"/api/v1/tenants/{tenant}", {"limits": {"tokens_per_minute": 6000}}, format="json"
        ).status_code
        == 200
    )
    valkey.set(keys.rate("requests", key.id.hex), str(time.time() + 30))
    valkey.sadd(keys.active(key.id.hex), "r1", "r2", "r3")
    valkey.set(keys.rate("tokens", owner.tenant.id.hex), str(time.time() - 5))

    rows = {each["id"]: each for each in owner_api.get(f"{LIMITS}/keys").json()["results"]}
    used = rows[str(key.id)]["used"]
    assert rows[str(key.id)]["limits"]["requests_per_minute"] == 60
    assert 25 < used["requests_per_minute"] <= 30
    assert (used["tokens_per_minute"], used["concurrent_requests"]) == (None, 3.0)
    assert set(rows[str(free.id)]["used"].values()) == {None}
    of_tenant = owner_api.get(LIMITS).json()
    assert (of_tenant["limits"]["tokens_per_minute"], of_tenant["used"]["tokens_per_minute"]) == (6000, 0.0)
    assert stranger_api.get(f"{LIMITS}/keys").json()["results"] == []
    assert stranger_api.get(LIMITS).json()["id"] != tenant
    assert [anonymous_api.get(path).status_code for path in (LIMITS, f"{LIMITS}/keys")] == [401, 401]


def test_without_redis_it_says_that_nothing_can_be_read(owner_api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=1)
    monkeypatch.setattr(regions.Region, "client", nowhere)
    assert owner_api.get(LIMITS).status_code == 503

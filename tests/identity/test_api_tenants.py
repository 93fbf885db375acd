"""`/api/v1/tenant` and `/api/v1/tenants`: a tenant of itself, and the operator of all."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from ollamamax.identity.models import Tenant
from ollamamax.identity.models.limits import LIMITS
from tests.cast import Key, Person, logged_in, make_key, make_person, with_key

pytestmark = pytest.mark.django_db
OWN, ALL = "/api/v1/tenant", "/api/v1/tenants"
NONE = dict.fromkeys(LIMITS)


def patch(api: APIClient, address: str, **body: Any) -> Any:
    return api.patch(address, body, format="json")


def test_everybody_in_a_tenant_sees_it(viewer_api: APIClient, key_api: APIClient, tenant: Tenant) -> None:
    for api in (viewer_api, key_api):
        seen = api.get(OWN).json()
        created = seen.pop("created_at")
        assert created
        assert seen == {
            "id": str(tenant.id),
            "slug": "acme",
            "name": "Acme",
            "weight": 1.0,
            "limits": NONE,
            "show_route": True,
            "store_responses": False,
            "strict_fields": False,
            "prompt_days": 0,
            "is_operator": False,
            "suspended_at": None,
            "deletes_at": None,
            "may_join_nodes": True,
        }


def test_an_owner_changes_the_name_and_what_responses_show(owner_api: APIClient, tenant: Tenant) -> None:
    changed = patch(owner_api, OWN, name=" Acme Ltd ", show_route=False).json()
    assert (changed["name"], changed["show_route"]) == ("Acme Ltd", False)
    assert patch(owner_api, OWN, show_route=True, store_responses=True).json()["store_responses"] is True
    assert patch(owner_api, OWN, store_responses=False, strict_fields=True).json()["strict_fields"] is True
    assert patch(owner_api, OWN, strict_fields=False).json()["name"] == "Acme Ltd"


def test_members_strangers_and_the_unknown_change_nothing(
    member_api: APIClient, viewer_api: APIClient, stranger_api: APIClient, anonymous_api: APIClient, tenant: Tenant
) -> None:
    assert patch(member_api, OWN, name="x").status_code == 403
    assert patch(viewer_api, OWN, name="x").status_code == 403
    assert patch(anonymous_api, OWN, name="x").status_code == 401
    assert anonymous_api.get(OWN).status_code == 401
    assert patch(stranger_api, OWN, name="x").json()["slug"] == "strangers"
    tenant.refresh_from_db()
    assert tenant.name == "Acme"


@pytest.mark.parametrize(
    "body",
    [
        {"weight": 10},
        {"limits": {"requests_per_minute": None}},
        {"name": "x", "weight": 10},
        {"is_operator": True},
        {"may_join_nodes": True},
        {"slug": "other"},
        {"id": str(uuid.uuid4())},
        {},
    ],
)
def test_a_tenant_gives_itself_nothing_that_is_the_operators(
    owner_api: APIClient, operator_api: APIClient, tenant: Tenant, body: dict[str, Any]
) -> None:
    for api in (owner_api, operator_api):
        assert patch(api, OWN, **body).status_code == 400
    tenant.refresh_from_db()
    assert (tenant.weight, tenant.name, tenant.slug, tenant.is_operator) == (1.0, "Acme", "acme", False)


def test_the_operator_sets_weight_and_limits_of_all(
    operator_api: APIClient, owner_api: APIClient, owner: Person
) -> None:
    one = f"{ALL}/{owner.tenant.id}"
    limits = {"requests_per_minute": 600, "concurrent_requests": 8}
    changed = patch(operator_api, one, weight=2.5, limits=limits, show_route=False, name="A").json()
    assert changed["limits"] == NONE | limits
    changed = patch(operator_api, one, limits={"concurrent_requests": None}).json()
    assert changed == owner_api.get(OWN).json() == operator_api.get(one).json()
    assert (changed["weight"], changed["name"], changed["show_route"]) == (2.5, "A", False)
    assert changed["limits"] == NONE | {"requests_per_minute": 600}
    assert [t["slug"] for t in operator_api.get(ALL).json()["results"]] == ["acme", "operators"]


def test_the_operator_makes_tenants(operator_api: APIClient) -> None:
    made = operator_api.post(ALL, {"slug": "new", "name": "New"}, format="json")
    assert made.status_code == 201
    assert (made.json()["slug"], made.json()["is_operator"]) == ("new", False)
    assert operator_api.post(ALL, {"slug": "new", "name": "New"}, format="json").status_code == 409
    for body in ({"slug": "New", "name": "x"}, {"slug": "n"}, {"slug": "n", "name": " "}, {"slug": 1, "name": []}):
        assert operator_api.post(ALL, body, format="json").status_code == 400


def test_admins_and_keys_of_the_operator_with_the_permission_may_too(operator: Person, tenant: Tenant) -> None:
    admin = make_person(operator.tenant, "admin", "admin")
    for api in (logged_in(admin), with_key(make_key(operator).text)):
        assert patch(api, f"{ALL}/{tenant.id}", weight=3).status_code == 200


def test_nobody_else_manages_tenants(
    operator: Person,
    owner_api: APIClient,
    key_api: APIClient,
    stranger_api: APIClient,
    stranger_key_api: APIClient,
    anonymous_api: APIClient,
    tenant: Tenant,
) -> None:
    one = f"{ALL}/{tenant.id}"
    member = logged_in(make_person(operator.tenant, "m", "member"))
    program = with_key(make_key(operator, permissions=["member.manage", "key.manage"]).text)
    for api in (owner_api, key_api, stranger_api, stranger_key_api, member, program):
        assert api.get(ALL).status_code == 403
        assert api.get(one).status_code == 403
        assert patch(api, one, weight=100).status_code == 403
        assert api.post(ALL, {"slug": "mine", "name": "Mine"}, format="json").status_code == 403
    assert anonymous_api.get(ALL).status_code == 401
    assert patch(anonymous_api, one, weight=100).status_code == 401
    tenant.refresh_from_db()
    assert tenant.weight == 1.0
    assert Tenant.objects.count() == 3


def test_a_person_of_two_tenants_manages_from_the_operators_only(operator: Person, owner: Person) -> None:
    from ollamamax.identity.actions.member import add_member
    from tests.cast import SYSTEM

    add_member(acting=SYSTEM, tenant=operator.tenant, user=owner.user, role="owner")
    api = logged_in(owner)
    assert api.get(ALL).status_code == 403  # acts in the tenant joined first
    session = api.session
    session["tenant"] = operator.tenant.id.hex
    session.save()
    assert api.get(ALL).status_code == 200
    assert "tenant.manage" in api.get("/api/v1/session").json()["permissions"]


def test_a_key_issued_with_all_of_an_operators_permissions_loses_none(operator: Person, owner_key: Key) -> None:
    seen = with_key(make_key(operator).text).get("/api/v1/me").json()["permissions"]
    assert "tenant.manage" in seen
    assert "tenant.manage" not in with_key(owner_key.text).get("/api/v1/me").json()["permissions"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"weight": 0}', "weight"),
        ('{"weight": -1}', "weight"),
        ('{"weight": null}', "weight"),
        ('{"weight": "heavy"}', "weight"),
        ('{"weight": "nan"}', "weight"),
        ('{"weight": true}', "weight"),
        ('{"weight": [1]}', "weight"),
        ('{"limits": {"tokens_per_minute": 0}}', "limits"),
        ('{"limits": {"speed": 1}}', "limits"),
        ('{"show_route": "perhaps"}', "show_route"),
        ('{"name": ""}', "name"),
        (json.dumps({"name": "x" * 201}), "name"),
        ('{"slug": "x"}', "slug"),
        ('{"is_operator": true}', "is_operator"),
    ],
)
def test_a_wrong_field_is_named(operator_api: APIClient, tenant: Tenant, body: str, field: str) -> None:
    answer = operator_api.patch(f"{ALL}/{tenant.id}", body, content_type="application/json")
    assert answer.status_code == 400
    assert field in {path.split(".")[0] for path in answer.json()["fields"]}


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400, "-1e999"])
def test_a_number_that_nothing_holds_is_refused(operator_api: APIClient, tenant: Tenant, number: str) -> None:
    """The decoder of all bodies refuses it, before any field is looked at."""
    body = f'{{"weight": {number}}}'
    answer = operator_api.patch(f"{ALL}/{tenant.id}", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_a_weight_that_is_no_number_and_a_tenant_that_is_none(operator_api: APIClient, tenant: Tenant) -> None:
    assert patch(operator_api, f"{ALL}/{tenant.id}", weight="nan").status_code == 400
    assert patch(operator_api, f"{ALL}/{uuid.uuid4()}", weight=2).status_code == 404
    assert operator_api.get(f"{ALL}/{uuid.uuid4()}").status_code == 404


def test_the_list_takes_few_queries(operator_api: APIClient, tenant: Tenant, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4):  # session, user, membership, tenants
        assert len(operator_api.get(ALL).json()["results"]) == 2

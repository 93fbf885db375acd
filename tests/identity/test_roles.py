"""Roles, members and grants: who may give what, what follows when it is taken, and what other tenants see of it."""

from __future__ import annotations

import json
import uuid
from itertools import product
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.node import join_node, remove_node
from cluster.models import Node
from ollamamax.bus import keys
from ollamamax.contract.tables import KEYS
from ollamamax.identity.actions.grant import give_grant
from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.member import add_member, change_member, remove_member
from ollamamax.identity.actions.role import change_role, create_role
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.directory import known_keys
from ollamamax.identity.models import MemberGrant, Membership, Role
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.roles import PERMISSIONS, SYSTEM_ROLES, reference
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest
from ollamamax.kernel.principal import Principal
from tests.cast import PASSWORD, SYSTEM, Key, Person, logged_in, make_key, make_person, with_key
from tests.cluster.conftest import issue

pytestmark = pytest.mark.django_db
ABSENT = uuid.UUID("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234")


def acting_now(person: Person) -> Principal:
    return principal_of(person.user, tenants_of(person.user)[0])


def membership_of(person: Person) -> Membership:
    with tenant_scope(person.tenant):
        return Membership.objects.get(user=person.user)


def join(person: Person, name: str) -> Node:
    return join_node(token=issue(person), name=name, engine="llamacpp", agent_version="1").node


def patch(api: APIClient, path: str, **body: Any) -> Any:
    return api.patch(path, body, format="json")


def test_the_systems_roles_are_there_and_are_those_of_the_code() -> None:
    with every_tenant():
        seeded = {role.slug: frozenset(role.permissions) for role in Role.objects.filter(tenant=None)}
    assert seeded == SYSTEM_ROLES


def test_owners_are_kept_apart_by_a_rule_and_not_by_what_others_lack(owner: Person) -> None:
    """Whoever has every permission there is, or all but that of reading prompts, still makes, changes and removes no owner; an owner does, and so does the system."""
    admin = make_person(owner.tenant, "admin", "admin")
    create_role(acting=owner.acting, slug="all", name="All", permissions=owner.acting.permissions)
    custom = make_person(owner.tenant, "custom", "all")
    key = make_key(owner)
    other = make_person(owner.tenant, "other", "owner")
    new = create_user(acting=SYSTEM, email="new@acme.example", password=PASSWORD)
    for acting in (admin.acting, custom.acting, key.acting):
        assert acting.permissions | {"prompt.view"} == owner.acting.permissions
        for refused in (
            lambda: add_member(acting=acting, tenant=owner.tenant, user=new, role="owner"),  # noqa: B023
            lambda: change_member(acting=acting, tenant=owner.tenant, user_id=custom.user.id, role="owner"),  # noqa: B023
            lambda: change_member(acting=acting, tenant=owner.tenant, user_id=other.user.id, role="viewer"),  # noqa: B023
            lambda: change_member(acting=acting, tenant=owner.tenant, user_id=other.user.id, state="suspended"),  # noqa: B023
            lambda: remove_member(acting=acting, tenant=owner.tenant, user=other.user),  # noqa: B023
        ):
            with pytest.raises(Forbidden):
                refused()
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=custom.user.id, role="owner")
    assert acting_now(custom).is_owner
    remove_member(acting=SYSTEM, tenant=owner.tenant, user=custom.user)


def test_a_role_that_a_tenant_calls_owner_is_none(owner: Person) -> None:
    with pytest.raises(Conflict):
        create_role(acting=owner.acting, slug="owner", name="Owner", permissions=["node.view"])
    with tenant_scope(owner.tenant):
        false = Role.objects.create(tenant=owner.tenant, slug="owner", name="x", permissions=sorted(PERMISSIONS))
        Membership.objects.filter(user=owner.user).update(role=false)
    assert not acting_now(owner).is_owner


def test_a_tenant_keeps_an_owner_whatever_is_taken(owner: Person) -> None:
    """Removed, suspended, given another role: of two owners each can go, and the other cannot any more."""
    for role, state in (("viewer", None), (None, "suspended")):
        other = make_person(owner.tenant, f"other-{role}", "owner")
        change_member(acting=owner.acting, tenant=owner.tenant, user_id=other.user.id, role=role, state=state)
        for refused in (
            lambda: change_member(acting=SYSTEM, tenant=owner.tenant, user_id=owner.user.id, role="viewer"),
            lambda: change_member(acting=SYSTEM, tenant=owner.tenant, user_id=owner.user.id, state="suspended"),
            lambda: remove_member(acting=SYSTEM, tenant=owner.tenant, user=owner.user),
        ):
            with pytest.raises(Conflict):
                refused()


@pytest.mark.parametrize("role", sorted(SYSTEM_ROLES))
def test_nobody_gives_in_any_way_what_they_do_not_have(owner: Person, role: str) -> None:
    """Every permission by every system role: given in a role, by a changed role, in a key, on an object."""
    person = make_person(owner.tenant, "someone", role)
    acting = person.acting
    mine = create_role(acting=owner.acting, slug="mine", name="Mine", permissions=["usage.view"])
    for permission in sorted(PERMISSIONS - {"tenant.manage"}):
        manages = acting.may("member.manage") and acting.may(permission)
        slug = permission.replace(".", "-")
        assert (
            allowed(lambda: create_role(acting=acting, slug=slug, name="x", permissions=[permission]))  # noqa: B023
            == manages
        )
        assert allowed(
            lambda: change_role(acting=acting, role_id=mine.id, permissions=["usage.view", permission])  # noqa: B023
        ) == (manages and acting.may("usage.view"))
        assert allowed(lambda: issue_key(acting=acting, name=slug, permissions=[permission])) == (  # noqa: B023
            acting.may("key.manage") and acting.may(permission)
        )


def allowed(act: Any) -> bool:
    try:
        act()
    except Forbidden:
        return False
    return True


ALL_KEYS = tuple(sorted(PERMISSIONS - {"tenant.manage"}))


def test_a_key_may_what_its_maker_may_now(owner: Person, member: Person) -> None:
    """Each role after each: the key has what it was given and its maker has, in Postgres and for the gateways alike."""
    _, text = issue_key(acting=system_in(owner), name="k", permissions=ALL_KEYS, created_by=member.user.id)
    for role in (*SYSTEM_ROLES, *reversed(SYSTEM_ROLES)):
        change_member(acting=SYSTEM, tenant=owner.tenant, user_id=member.user.id, role=role)
        found = find_principal(text)
        expected = SYSTEM_ROLES[role] & frozenset(ALL_KEYS)
        assert found is not None
        assert found.permissions == expected == frozenset(told(text)["permissions"])
    change_member(acting=SYSTEM, tenant=owner.tenant, user_id=member.user.id, state="suspended")
    assert find_principal(text) is None
    assert tenants_of(member.user) == []
    change_member(acting=SYSTEM, tenant=owner.tenant, user_id=member.user.id, state="active")
    assert find_principal(text) is not None


def system_in(person: Person) -> Principal:
    return Principal("system", "tests", person.tenant.id.hex, "tests")


def told(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(KEYS.encode(known_keys()[text.split("_")[1]]))
    return found


def test_suspending_a_membership_leaves_the_user_as_they_are_elsewhere(owner: Person, stranger: Person) -> None:
    user = make_person(owner.tenant, "both", "member").user
    add_member(acting=SYSTEM, tenant=stranger.tenant, user=user, role="viewer")
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=user.id, state="suspended")
    user.refresh_from_db()
    assert user.is_active
    assert [place.slug for place in tenants_of(user)] == [stranger.tenant.slug]


@pytest.mark.django_db(transaction=True)
def test_a_role_that_shrinks_is_told_to_the_gateways_at_once(valkey: redis.Redis, owner: Person) -> None:
    role = create_role(
        acting=owner.acting, slug="lab", name="Lab", permissions=["inference.use", "model.view", "key.manage"]
    )
    holder = make_person(owner.tenant, "holder", "lab")
    _, text = issue_key(acting=holder.acting, name="k")
    field = text.split("_")[1]

    def published() -> Any:
        value: Any = valkey.hget(keys.directory("keys"), field)
        return json.loads(value)["permissions"]

    assert published() == ["inference.use", "model.view"]
    change_role(acting=owner.acting, role_id=role.id, permissions=["model.view", "key.manage"])
    assert published() == ["model.view"]
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=holder.user.id, role="billing")
    assert published() == []


# Grants on single objects.


def test_a_grant_counts_on_its_object_alone_for_the_member_and_their_keys(owner: Person, valkey: redis.Redis) -> None:
    one, other = join(owner, "one"), join(owner, "other")
    create_role(acting=owner.acting, slug="bare", name="Bare", permissions=["key.manage"])
    person = make_person(owner.tenant, "person", "bare")
    for permission in ("node.view", "node.manage"):
        give_grant(
            acting=owner.acting,
            membership_id=membership_of(person).id,
            permission=permission,
            kind="node",
            object_id=one.id,
        )
    key = issue_key(acting=acting_now(person), name="k", permissions=["node.view"])[1]
    assert told(key)["grants"] == {"node.view": [reference("node", one.id)]}
    for api, may_change in ((logged_in(person), True), (with_key(key), False)):
        assert [each["name"] for each in api.get("/api/v1/nodes").json()["results"]] == ["one"]
        assert api.get(f"/api/v1/nodes/{one.id}").status_code == 200
        assert api.get(f"/api/v1/nodes/{other.id}").status_code == 404
        assert patch(api, f"/api/v1/nodes/{one.id}", schedulable=False).status_code == (200 if may_change else 403)
        assert patch(api, f"/api/v1/nodes/{other.id}", schedulable=False).status_code == 403
        assert api.get("/api/v1/models").status_code == 403
    remove_node(acting=owner.acting, node_id=one.id)
    with every_tenant():
        assert not MemberGrant.objects.exists()
    assert logged_in(person).get("/api/v1/nodes").status_code == 403


def test_a_grant_is_on_an_object_of_the_tenant_and_given_once(
    owner: Person, owner_api: APIClient, member: Person, stranger: Person, stranger_api: APIClient, valkey: redis.Redis
) -> None:
    own, foreign = join(owner, "own"), join(stranger, "foreign")
    body = {"member": str(membership_of(member).id), "permission": "node.manage", "kind": "node"}

    def give(api: APIClient, object_: Any, **changes: Any) -> Any:
        return api.post("/api/v1/grants", body | {"object": str(object_)} | changes, format="json")

    made = give(owner_api, own.id)
    assert made.status_code == 201
    assert (made.json()["email"], made.json()["kind"], made.json()["object"]) == (member.email, "node", str(own.id))
    assert give(owner_api, own.id).status_code == 409
    assert give(owner_api, foreign.id).status_code == give(owner_api, ABSENT).status_code == 404
    assert give(owner_api, own.id, permission="inference.use").status_code == 400
    assert give(owner_api, own.id, member=str(membership_of(stranger).id)).status_code == 404
    assert give(stranger_api, foreign.id).status_code == 404  # a member of another tenant
    one = f"/api/v1/grants/{made.json()['id']}"
    for refused in (stranger_api.get(one), stranger_api.delete(one)):
        assert refused.status_code == 404
    assert stranger_api.get("/api/v1/grants").json()["results"] == []
    assert logged_in(member).delete(one).status_code == 403
    assert owner_api.delete(one).status_code == 204
    assert owner_api.get(one).status_code == 404


# The addresses, and who is refused at them.


def test_members_are_listed_changed_and_removed(owner: Person, owner_api: APIClient, member: Person) -> None:
    listed = owner_api.get("/api/v1/members").json()["results"]
    assert {(each["email"], each["role"], each["state"]) for each in listed} == {
        (owner.email, "owner", "active"),
        (member.email, "member", "active"),
    }
    one = f"/api/v1/members/{membership_of(member).id}"
    changed = patch(owner_api, one, role="auditor", state="suspended").json()
    assert (changed["role"], changed["state"], changed["source"]) == ("auditor", "suspended", "local")
    assert patch(owner_api, one, role="god").status_code == 400
    assert patch(owner_api, one, state="invited").status_code == 400
    assert patch(owner_api, one, email="x@y.example").status_code == 400
    assert owner_api.delete(one).status_code == 204
    assert owner_api.get(one).status_code == 404


def test_roles_are_made_changed_and_deleted(owner: Person, owner_api: APIClient) -> None:
    body = {"slug": "night", "name": "Night shift", "permissions": ["node.view", "node.manage"]}
    made = owner_api.post("/api/v1/roles", body, format="json")
    assert made.status_code == 201
    one = f"/api/v1/roles/{made.json()['id']}"
    assert owner_api.post("/api/v1/roles", body, format="json").status_code == 409
    assert patch(owner_api, one, permissions=["node.view"]).json()["permissions"] == ["node.view"]
    holder = make_person(owner.tenant, "holder", "night")
    assert owner_api.delete(one).status_code == 409
    patch(owner_api, f"/api/v1/members/{membership_of(holder).id}", role="viewer")
    assert owner_api.delete(one).status_code == 204
    slugs = [role["slug"] for role in owner_api.get("/api/v1/roles").json()["results"]]
    assert sorted(slugs) == sorted(SYSTEM_ROLES)


def test_nobody_changes_a_role_of_the_system(operator_api: APIClient, owner_api: APIClient) -> None:
    for role in owner_api.get("/api/v1/roles").json()["results"]:
        for api in (operator_api, owner_api):
            assert patch(api, f"/api/v1/roles/{role['id']}", name="x").status_code == 404
            assert api.delete(f"/api/v1/roles/{role['id']}").status_code == 404


def test_a_stranger_and_who_may_not_manage_members_change_nothing(
    owner: Person, owner_key: Key, member: Person, viewer_api: APIClient, stranger_api: APIClient
) -> None:
    role = create_role(acting=owner.acting, slug="night", name="x", permissions=["node.view"])
    membership = membership_of(member)
    for (kind, id_), (method, body) in product(
        [("roles", role.id), ("members", membership.id)],
        [("patch", {"role": "viewer"}), ("delete", None), ("get", None)],
    ):
        given = {"name": "y"} if kind == "roles" and body else body
        path = f"/api/v1/{kind}/{id_}"
        assert getattr(stranger_api, method)(path, given, format="json").status_code == 404
        expected = 200 if method == "get" else 403
        assert getattr(viewer_api, method)(path, given, format="json").status_code == expected
    assert {each["email"] for each in stranger_api.get("/api/v1/members").json()["results"]} == {
        "stranger@strangers.example"
    }
    assert "night" not in {each["slug"] for each in stranger_api.get("/api/v1/roles").json()["results"]}


def test_a_role_of_one_tenant_is_none_of_another(owner: Person, stranger: Person) -> None:
    create_role(acting=owner.acting, slug="night", name="x", permissions=["node.view"])
    user = create_user(acting=SYSTEM, email="n@x.example", password=PASSWORD)
    with pytest.raises(InvalidRequest):
        add_member(acting=SYSTEM, tenant=stranger.tenant, user=user, role="night")

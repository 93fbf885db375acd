"""Teams, service accounts and pools of nodes: who gets what by them, who may give it, and that it ends with them."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
import redis
from guardian.shortcuts import assign_perm, get_perms
from rest_framework.test import APIClient

from cluster.actions.node import change_node, join_node, remove_node
from cluster.actions.pool import change_pool, create_pool, delete_pool
from cluster.models import Node
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.actions.grant import end_grant, end_team_grant, give_grant, give_team_grant
from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.key_rotation import rotate_key
from ollamamax.identity.actions.member import change_member, remove_member
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.actions.service_account import create_service_account
from ollamamax.identity.actions.team import add_to_team, change_team, create_team, delete_team, remove_from_team
from ollamamax.identity.directory import known_keys
from ollamamax.identity.models import Membership, Team, TeamMember, User
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import held_by, principal_of, tenants_of
from ollamamax.identity.roles import ON_OBJECTS, PERMISSIONS, SYSTEM_ROLES, reference
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound
from ollamamax.kernel.principal import Principal
from tests.cast import PASSWORD, Key, Person, logged_in, make_key, make_person, with_key
from tests.cluster.conftest import issue

pytestmark = pytest.mark.django_db


def acting_now(person: Person) -> Principal:
    return principal_of(person.user, tenants_of(person.user)[0])


def membership_of(person: Person) -> Membership:
    with tenant_scope(person.tenant):
        return Membership.objects.get(user=person.user)


def join(person: Person, name: str) -> Node:
    return join_node(token=issue(person), name=name, engine="llamacpp", agent_version="1").node


def put(owner: Person, team: Team, person: Person) -> None:
    add_to_team(acting=owner.acting, team_id=team.id, membership_id=membership_of(person).id)


def rights(principal: Principal | None) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    assert principal is not None
    return principal.permissions, principal.grants


def told(text: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """What the gateways are told of a key."""
    known = known_keys()[text.split("_")[1]]
    return frozenset(known.permissions), frozenset((name, on) for name, some in known.grants.items() for on in some)


def test_a_member_has_what_their_teams_have_as_long_as_they_are_in_them(owner: Person, valkey: redis.Redis) -> None:
    """By a role and on objects, as a person, by a key of theirs, and as the gateways are told, alike."""
    node = join(owner, "one")
    create_role(acting=owner.acting, slug="bare", name="Bare", permissions=["key.manage"])
    person = make_person(owner.tenant, "person", "bare")
    _, key = issue_key(
        acting=Principal("system", "tests", owner.tenant.id.hex, "tests"),
        name="k",
        permissions=sorted(PERMISSIONS - {"tenant.manage"}),
        created_by=person.user.id,
    )
    one = create_team(acting=owner.acting, slug="one", name="One", role="auditor")
    other = create_team(acting=owner.acting, slug="other", name="Other")
    grant = give_team_grant(
        acting=owner.acting, team_id=other.id, permission="node.manage", kind="node", object_id=node.id
    )
    bare = frozenset({"key.manage"})
    on_node = frozenset({("node.manage", reference("node", node.id))})

    def has(permissions: frozenset[str], grants: frozenset[tuple[str, str]] = frozenset()) -> None:
        for found in (rights(acting_now(person)), rights(find_principal(key)), told(key)):
            assert found == (permissions, grants)

    has(bare)
    put(owner, one, person)
    has(bare | SYSTEM_ROLES["auditor"])
    put(owner, other, person)
    has(bare | SYSTEM_ROLES["auditor"], on_node)
    change_team(acting=owner.acting, team_id=one.id, role="billing")
    has(bare | SYSTEM_ROLES["billing"], on_node)
    change_team(acting=owner.acting, team_id=one.id, role=None)
    has(bare, on_node)
    end_team_grant(acting=owner.acting, grant_id=grant.id)
    has(bare)
    change_team(acting=owner.acting, team_id=one.id, role="billing")
    remove_from_team(acting=owner.acting, team_id=one.id, membership_id=membership_of(person).id)
    has(bare)
    put(owner, one, person)
    delete_team(acting=owner.acting, team_id=one.id)
    has(bare)
    with every_tenant():
        assert TeamMember.objects.count() == 1


def test_a_suspended_member_has_nothing_of_their_teams(owner: Person, member: Person, valkey: redis.Redis) -> None:
    team = create_team(acting=owner.acting, slug="one", name="One", role="admin")
    put(owner, team, member)
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=member.user.id, state="suspended")
    assert tenants_of(member.user) == []


@pytest.mark.parametrize("role", sorted(SYSTEM_ROLES.keys() - {"owner"}))
def test_nobody_gives_by_a_team_or_a_program_what_they_do_not_have(
    owner: Person, role: str, valkey: redis.Redis
) -> None:
    """A role that may manage members and one thing besides: in a team that may another, nobody is put, and none is made."""
    node = join(owner, "one")
    person = make_person(owner.tenant, "someone", "viewer")
    create_role(acting=owner.acting, slug="mine", name="Mine", permissions=["member.manage", "key.manage", "node.view"])
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=person.user.id, role="mine")
    acting = acting_now(person)
    allowed = SYSTEM_ROLES[role] - {"tenant.manage"} <= acting.permissions
    team = create_team(acting=owner.acting, slug="given", name="x", role=role)
    granted = create_team(acting=owner.acting, slug="granted", name="x")
    give_team_grant(acting=owner.acting, team_id=granted.id, permission="node.manage", kind="node", object_id=node.id)
    account = create_service_account(acting=owner.acting, name="bot", role=role)
    system = Principal("system", "tests", owner.tenant.id.hex, "tests")
    everything = sorted(PERMISSIONS - {"tenant.manage"})
    theirs = issue_key(acting=system, name="theirs", permissions=everything, created_by=account.membership.user_id)[0]
    me = membership_of(person).id
    for act in (
        lambda: create_team(acting=acting, slug="x", name="x", role=role),
        lambda: change_team(acting=acting, team_id=team.id, role=None),
        lambda: add_to_team(acting=acting, team_id=team.id, membership_id=me),
        lambda: add_to_team(acting=acting, team_id=granted.id, membership_id=me),
        lambda: remove_from_team(acting=acting, team_id=granted.id, membership_id=me),
        lambda: delete_team(acting=acting, team_id=granted.id),
        lambda: create_service_account(acting=acting, name="x", role=role),
        lambda: rotate_key(acting=acting, key_id=theirs.id, overlap=datetime.timedelta(0)),
        lambda: issue_key(acting=acting, name="y", permissions=sorted(SYSTEM_ROLES[role])),
    ):
        assert not allowed
        with pytest.raises(Forbidden):
            act()
    assert rights(acting_now(person))[1] == frozenset()


@pytest.mark.parametrize("way", ["team", "team_grant", "grant"])
def test_who_may_more_by_a_team_or_a_grant_is_not_theirs_to_change_who_may_less(
    owner: Person, way: str, valkey: redis.Redis
) -> None:
    """Suspended too: to let such a membership count again would give what one lacks."""
    node, strong = join(owner, "one"), make_person(owner.tenant, "strong", "viewer")
    on: dict[str, Any] = {"permission": "node.manage", "kind": "node", "object_id": node.id}
    team = create_team(acting=owner.acting, slug="strong", name="x", role="operator" if way == "team" else None)
    put(owner, team, strong)
    if way == "team_grant":
        give_team_grant(acting=owner.acting, team_id=team.id, **on)
    if way == "grant":
        give_grant(acting=owner.acting, membership_id=membership_of(strong).id, **on)
    views = sorted(SYSTEM_ROLES["viewer"] | {"member.manage"})
    create_role(acting=owner.acting, slug="mine", name="Mine", permissions=views)
    acting = make_person(owner.tenant, "narrow", "mine").acting
    about: dict[str, Any] = {"acting": acting, "tenant": owner.tenant}
    for state, other in (("active", "suspended"), ("suspended", "active")):
        change_member(acting=owner.acting, tenant=owner.tenant, user_id=strong.user.id, state=state)
        for act in (
            lambda: change_member(**about, user_id=strong.user.id, state=other),  # noqa: B023
            lambda: change_member(**about, user_id=strong.user.id, role="mine"),
            lambda: remove_member(**about, user=strong.user),
        ):
            with pytest.raises(Forbidden):
                act()
    weak = make_person(owner.tenant, "weak", "viewer")
    change_member(**about, user_id=weak.user.id, state="suspended")
    remove_member(**about, user=weak.user)


def test_a_team_and_a_program_are_no_owners(owner: Person) -> None:
    for act in (
        lambda: create_team(acting=owner.acting, slug="x", name="x", role="owner"),
        lambda: create_service_account(acting=owner.acting, name="x", role="owner"),
    ):
        with pytest.raises(InvalidRequest):
            act()


def test_a_program_has_keys_of_its_own_and_never_logs_in(
    owner: Person, owner_api: APIClient, anonymous_api: APIClient, valkey: redis.Redis
) -> None:
    """Who is in its team makes its keys, as far as they may do that themselves; others who may make keys do not."""
    create_role(acting=owner.acting, slug="build", name="x", permissions=["key.manage", "model.view", "model.manage"])
    inside, outside = make_person(owner.tenant, "inside", "build"), make_person(owner.tenant, "outside", "build")
    team = create_team(acting=owner.acting, slug="ci", name="CI")
    put(owner, team, inside)
    body = {"name": "builder", "role": "operator", "team": "ci", "description": "Builds at night"}
    made = owner_api.post("/api/v1/service-accounts", body, format="json").json()
    assert (made["name"], made["role"], made["team"], made["state"]) == ("builder", "operator", "ci", "active")

    def key(api: APIClient, *permissions: str) -> Any:
        body = {"name": uuid.uuid4().hex, "permissions": permissions, "service_account": made["id"]}
        return api.post("/api/v1/keys", body, format="json")

    assert key(logged_in(outside), "model.view").status_code == 403
    assert key(logged_in(inside), "model.view", "node.manage").status_code == 403
    issued = key(logged_in(inside), "model.view", "model.manage").json()
    assert (issued["created_by"], issued["created_by_name"]) == (made["user"], "builder")
    principal = find_principal(issued["secret"])
    assert rights(principal) == (frozenset({"model.view", "model.manage"}), frozenset())
    # It is the program's: when the person goes, it stays; suspended, and shrunk, it follows the program.
    change_member(acting=owner.acting, tenant=owner.tenant, user_id=inside.user.id, state="suspended")
    one = f"/api/v1/service-accounts/{made['id']}"
    assert rights(find_principal(issued["secret"])) == told(issued["secret"])
    assert owner_api.patch(one, {"role": "viewer"}, format="json").status_code == 200
    assert rights(find_principal(issued["secret"]))[0] == {"model.view"} == told(issued["secret"])[0]
    assert owner_api.patch(one, {"state": "suspended"}, format="json").json()["state"] == "suspended"
    assert find_principal(issued["secret"]) is None
    assert owner_api.patch(one, {"state": "active", "team": None}, format="json").json()["team"] is None
    assert find_principal(issued["secret"]) is not None
    # No member of the list of people, and with no way in.
    emails = [each["email"] for each in owner_api.get("/api/v1/members").json()["results"]]
    assert not [each for each in emails if "builder" in each]
    assert owner_api.get(f"/api/v1/members/{made['member']}").status_code == 404
    user = User.objects.get(pk=made["user"])
    assert not user.has_usable_password()
    for password in ("", PASSWORD, user.password):
        answer = anonymous_api.post("/api/v1/session", {"email": user.email, "password": password}, format="json")
        assert answer.status_code in {400, 401}
    assert owner_api.delete(one).status_code == 204
    assert find_principal(issued["secret"]) is None
    assert not User.objects.filter(pk=made["user"]).exists()
    assert not known_keys()


def test_a_team_that_owns_programs_is_not_deleted(owner: Person) -> None:
    team = create_team(acting=owner.acting, slug="ci", name="CI")
    create_service_account(acting=owner.acting, name="builder", role="viewer", team="ci")
    with pytest.raises(Conflict, match="builder"):
        delete_team(acting=owner.acting, team_id=team.id)


def test_a_role_that_is_in_use_says_by_whom(owner: Person, owner_api: APIClient) -> None:
    role = create_role(acting=owner.acting, slug="night", name="x", permissions=["node.view"])
    holder = make_person(owner.tenant, "holder", "night")
    create_team(acting=owner.acting, slug="watch", name="x", role="night")
    create_service_account(acting=owner.acting, name="builder", role="night")
    answer = owner_api.delete(f"/api/v1/roles/{role.id}")
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith(
        f"In use by members {holder.email}; teams watch; service accounts builder"
    )


def test_a_right_on_a_pool_counts_on_the_nodes_that_are_in_it_now(owner: Person, valkey: redis.Redis) -> None:
    put_in, labelled, neither = join(owner, "put-in"), join(owner, "labelled"), join(owner, "neither")
    create_role(acting=owner.acting, slug="bare", name="Bare", permissions=["key.manage"])
    person = make_person(owner.tenant, "person", "bare")
    pool = create_pool(acting=owner.acting, name="gpus", selector={"gpu": "a100"}, nodes=[put_in.id])
    for permission in ("node.view", "node.manage"):
        give_grant(
            acting=owner.acting,
            membership_id=membership_of(person).id,
            permission=permission,
            kind="pool",
            object_id=pool.id,
        )
    key = issue_key(acting=acting_now(person), name="k", permissions=["node.view"])[1]

    def sees(*nodes: Node) -> None:
        names = sorted(each.name for each in nodes)
        for api in (logged_in(person), with_key(key)):
            assert sorted(each["name"] for each in api.get("/api/v1/nodes").json()["results"]) == names
        published = {on for _, on in told(key)[1] if on.startswith("node:")}
        assert published == {reference("node", each.id) for each in nodes}

    sees(put_in)
    change_node(acting=owner.acting, node_id=labelled.id, change={"labels": {"gpu": "a100", "rack": "7"}})
    sees(put_in, labelled)
    assert (
        logged_in(person).patch(f"/api/v1/nodes/{labelled.id}", {"schedulable": False}, format="json").status_code
        == 200
    )
    assert (
        logged_in(person).patch(f"/api/v1/nodes/{neither.id}", {"schedulable": False}, format="json").status_code == 403
    )
    change_node(acting=owner.acting, node_id=labelled.id, change={"labels": {"gpu": "h200"}})
    sees(put_in)
    change_pool(acting=owner.acting, pool_id=pool.id, selector={}, nodes=[neither.id])
    sees(neither)
    remove_node(acting=owner.acting, node_id=neither.id)
    assert logged_in(person).get(f"/api/v1/pools/{pool.id}").json()["size"] == 0
    delete_pool(acting=owner.acting, pool_id=pool.id)
    assert logged_in(person).get("/api/v1/nodes").status_code == 403


def test_a_pool_takes_nodes_of_its_tenant_only(owner: Person, stranger: Person, stranger_api: APIClient) -> None:
    foreign = join(stranger, "foreign")
    change_node(acting=stranger.acting, node_id=foreign.id, change={"labels": {"gpu": "a100"}})
    with pytest.raises(NotFound):
        create_pool(acting=owner.acting, name="gpus", nodes=[foreign.id])
    pool = create_pool(acting=owner.acting, name="gpus", selector={"gpu": "a100"})
    assert stranger_api.get(f"/api/v1/pools/{pool.id}").status_code == 404
    assert logged_in(owner).get(f"/api/v1/pools/{pool.id}").json()["size"] == 0


def test_djangos_guardian_says_of_each_object_what_we_say(owner: Person, valkey: redis.Redis) -> None:
    """Its own functions read what we wrote, and what they write counts with us."""
    nodes = [join(owner, name) for name in ("one", "two", "three")]
    person = make_person(owner.tenant, "person", "billing")
    team = create_team(acting=owner.acting, slug="t", name="T")
    put(owner, team, person)
    member = membership_of(person)
    mine = give_grant(
        acting=owner.acting, membership_id=member.id, permission="node.view", kind="node", object_id=nodes[0].id
    )
    give_team_grant(acting=owner.acting, team_id=team.id, permission="node.manage", kind="node", object_id=nodes[1].id)
    with tenant_scope(owner.tenant):
        assign_perm("cluster.node.view", person.user, nodes[2])

        def agree() -> None:
            acting = acting_now(person)
            for node in nodes:
                ours = {each for each in ON_OBJECTS["node"] if acting.may(each, reference("node", node.id))}
                assert set(get_perms(person.user, node)) == ours

        agree()
        assert acting_now(person).grants == held_by(member).grants
        assert len(held_by(member).grants) == 3
    end_grant(acting=owner.acting, grant_id=mine.id)
    with tenant_scope(owner.tenant):
        agree()


def test_what_is_done_to_teams_and_programs_is_in_the_audit_trail(owner: Person, member: Person) -> None:
    team = create_team(acting=owner.acting, slug="t", name="T")
    put(owner, team, member)
    create_service_account(acting=owner.acting, name="bot", role="viewer", team="t")
    found = AuditRecord.objects.filter(chain=owner.tenant.id.hex).order_by("-seq")[:3]
    assert [each.action for each in found] == ["service_account.create", "team.add_member", "team.create"]


def test_who_may_not_decide_about_a_key_is_not_shown_its_next_text(owner: Person, owner_key: Key) -> None:
    """Managing members and keys is not having all that their keys may."""
    create_role(acting=owner.acting, slug="desk", name="x", permissions=["member.manage", "key.manage"])
    desk = make_person(owner.tenant, "desk", "desk")
    for key, expected in ((owner_key, 403), (make_key(desk), 201)):
        answer = logged_in(desk).post(f"/api/v1/keys/{key.row.id}/rotate", {"overlap_seconds": 0}, format="json")
        assert answer.status_code == expected

"""Who can do something and why, and what somebody can do: always as the decisions themselves."""

from __future__ import annotations

import itertools
import random
import uuid
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.pool import change_pool, create_pool
from models_registry.actions.version import register_external
from models_registry.models import Model
from ollamamax.identity.actions.grant import give_grant, give_team_grant
from ollamamax.identity.actions.key import issue_key
from ollamamax.identity.actions.member import change_member
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.actions.service_account import create_service_account
from ollamamax.identity.actions.team import add_to_team, create_team
from ollamamax.identity.models import Membership
from ollamamax.identity.queries.access import rights_of_member, who_may
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import principal_of, tenants_of
from ollamamax.identity.rights import why
from ollamamax.identity.roles import ON_OBJECTS, PERMISSIONS, SYSTEM_ROLES, reference
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.principal import Principal
from tests.cast import Person, make_key, make_person
from tests.identity.test_teams import join, membership_of

pytestmark = pytest.mark.django_db


def model_of(person: Person, name: str) -> uuid.UUID:
    digest = f"sha256:{uuid.uuid4().hex * 2}"
    register_external(acting=person.acting, name=f"{name}:1", digest=digest, engine="ollama", size=1)
    with tenant_scope(person.tenant):
        return Model.objects.get(name=name).pk


def test_the_explanation_is_the_decision_for_everybody_every_permission_and_every_object(
    owner: Person, stranger: Person, valkey: redis.Redis
) -> None:
    """People, programs and keys with roles, teams, grants and pools by chance, from a seed that is told when it fails."""
    seed = random.randrange(2**32)
    chance, acting = random.Random(seed), owner.acting
    nodes = [join(owner, f"n{number}") for number in range(3)]
    pool = create_pool(acting=acting, name="pool")
    change_pool(acting=acting, pool_id=pool.id, nodes=[chance.choice(nodes).id])
    things = [("node", node.id) for node in nodes] + [("pool", pool.id), ("model", model_of(owner, "first"))]
    create_role(acting=acting, slug="bare", name="Bare", permissions=["key.manage"])
    roles = ["bare", *sorted(SYSTEM_ROLES.keys() - {"owner"})]
    teams = [create_team(acting=acting, slug=f"t{n}", name="T", role=chance.choice([None, *roles])) for n in range(2)]
    people = [make_person(owner.tenant, f"p{number}", chance.choice(roles)) for number in range(4)]
    program = create_service_account(acting=acting, name="bot", role=chance.choice(roles[1:]))
    make_person(stranger.tenant, "other", "admin")
    memberships = [*(membership_of(person).id for person in people), program.membership_id]
    for membership in memberships:
        if chance.random() < 0.5:
            add_to_team(acting=acting, team_id=chance.choice(teams).id, membership_id=membership)
    possible = [(p, kind, id_) for kind, id_ in things for p in sorted(ON_OBJECTS[kind])]
    for permission, kind, id_ in chance.sample(possible, 6):
        on: dict[str, Any] = {"permission": permission, "kind": kind, "object_id": id_}
        if chance.random() < 0.5:
            give_team_grant(acting=acting, team_id=chance.choice(teams).id, **on)
        else:
            give_grant(acting=acting, membership_id=chance.choice(memberships), **on)
    texts = {}
    some = sorted(PERMISSIONS - {"tenant.manage"})
    system = Principal("system", "tests", owner.tenant.id.hex, "tests")
    for number, person in enumerate([*people, None]):
        by: dict[str, Any] = {} if person is None else {"created_by": person.user.id}
        row, text = issue_key(acting=system, name=f"k{number}", permissions=chance.sample(some, 5), **by)
        texts[row.id] = text
    row, text = issue_key(acting=acting, name="bot key", permissions=["usage.view"], service_account=program.id)
    texts[row.id] = text
    change_member(acting=acting, tenant=owner.tenant, user_id=people[0].user.id, state="suspended")

    principals: dict[uuid.UUID, Principal | None] = {id_: find_principal(text) for id_, text in texts.items()}
    for person in [owner, *people]:
        places = tenants_of(person.user)
        principals[membership_of(person).id] = principal_of(person.user, places[0]) if places else None
    with tenant_scope(owner.tenant):
        for permission, target in itertools.product(
            sorted(PERMISSIONS), [None, *(reference(*thing) for thing in things)]
        ):
            found = {holder.id: holder.reasons for holder in who_may(permission, target).shown}
            expected = {id_ for id_, who in principals.items() if who is not None and who.may(permission, target)}
            assert found.keys() - {program.membership_id} == expected, (seed, permission, target)
            assert all(found.values())
        for row_of in Membership.objects.all():
            told = rights_of_member(row_of)
            decides = principals.get(row_of.pk)
            if decides is not None:
                assert told.counts
                for permission in PERMISSIONS:
                    assert decides.may(permission) == bool(why(told.reasons, permission)), seed


def test_it_is_told_by_what_somebody_has_a_right(
    owner: Person, owner_api: APIClient, stranger_api: APIClient, valkey: redis.Redis
) -> None:
    node = join(owner, "gpu-1")
    pool = create_pool(acting=owner.acting, name="lab")
    change_pool(acting=owner.acting, pool_id=pool.id, nodes=[node.id])
    person = make_person(owner.tenant, "night", "billing")
    team = create_team(acting=owner.acting, slug="night", name="Night", role="viewer")
    add_to_team(acting=owner.acting, team_id=team.id, membership_id=membership_of(person).id)
    give_team_grant(acting=owner.acting, team_id=team.id, permission="node.manage", kind="pool", object_id=pool.id)
    asked = f"/api/v1/access?permission=node.manage&kind=node&object={node.id}"
    answer = owner_api.get(asked).json()
    on = {"kind": "node", "id": str(node.id), "name": "gpu-1"}
    by = [each for each in answer["results"] if each["name"] == person.email]
    assert by == [
        {
            "kind": "person",
            "id": str(membership_of(person).id),
            "name": person.email,
            "reasons": [
                {
                    "permission": "node.manage",
                    "on": on,
                    "by": "team_grant",
                    "role": "",
                    "team": "night",
                    "pool": {"kind": "pool", "id": str(pool.id), "name": "lab"},
                }
            ],
        }
    ]
    assert {each["name"] for each in answer["results"]} == {person.email, owner.email}
    told = owner_api.get(f"/api/v1/members/{membership_of(person).id}/access").json()
    assert told["counts"] is True
    by_role = {
        (each["permission"], each["by"], each["role"], each["team"]) for each in told["reasons"] if not each["on"]
    }
    assert by_role == {(name, "role", "billing", "") for name in SYSTEM_ROLES["billing"]} | {
        (name, "team_role", "viewer", "night") for name in SYSTEM_ROLES["viewer"]
    }
    key = make_key(owner, permissions=["node.view"])
    of_key = owner_api.get(f"/api/v1/keys/{key.row.id}/access").json()
    assert [(each["permission"], each["role"]) for each in of_key["reasons"]] == [("node.view", "owner")]
    assert owner_api.delete(f"/api/v1/keys/{key.row.id}").status_code == 204
    assert owner_api.get(f"/api/v1/keys/{key.row.id}/access").json() == {"counts": False, "reasons": []}
    # Another tenant's objects and members are not there.
    assert stranger_api.get(asked).status_code == 404
    assert stranger_api.get(f"/api/v1/members/{membership_of(person).id}/access").status_code == 404
    names = [each["name"] for each in owner_api.get("/api/v1/access/objects?kind=node&name=gpu").json()["results"]]
    assert names == ["gpu-1"]
    assert stranger_api.get("/api/v1/access/objects?kind=node").json()["results"] == []


@pytest.mark.parametrize(
    "query",
    [
        *(
            "",
            "permission=no.such",
            "permission=node.view&kind=node",
            f"permission=node.view&object={uuid.UUID(int=1)}",
        ),
        *("permission=usage.view&kind=node&object=x", f"permission=inference.use&kind=node&object={uuid.UUID(int=1)}"),
    ],
)
def test_a_question_that_has_no_answer_is_refused(owner_api: APIClient, query: str) -> None:
    assert owner_api.get(f"/api/v1/access?{query}").status_code == 400


def test_whoever_may_promote_can_give_that_on_one_model(owner: Person, owner_api: APIClient, member: Person) -> None:
    model = model_of(owner, "first")
    body = {"member": str(membership_of(member).id), "kind": "model", "object": str(model)}
    for permission in sorted(ON_OBJECTS["model"]):
        assert owner_api.post("/api/v1/grants", body | {"permission": permission}, format="json").status_code == 201

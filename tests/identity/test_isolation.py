"""The isolation matrix: every address of one thing x every method x every role, on the own tenant's thing and on another tenant's.

The cells are made of the routes, so that a new one is covered, or named below with the test that shows it, or this fails.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from django.db import transaction
from rest_framework.test import APIClient

from cluster.actions.join_token import issue_join_token
from cluster.actions.node import join_node
from cluster.actions.pool import create_pool
from models_registry.actions.alias import create_alias
from models_registry.actions.job import submit_job
from models_registry.actions.version import register_external
from models_registry.models import Channel
from ollamamax.identity.actions.grant import give_grant, give_team_grant
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.actions.service_account import create_service_account
from ollamamax.identity.actions.team import add_to_team, create_team
from ollamamax.identity.api.base import SIGNED_IN
from ollamamax.identity.models import Membership
from ollamamax.identity.queries import role as role_queries
from ollamamax.identity.roles import SYSTEM_ROLES
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.architecture.test_routes import API
from tests.cast import Person, logged_in, make_key, make_person, with_key
from tests.cluster.conftest import issue

pytestmark = pytest.mark.django_db
PREFIX = "api/v1/"
ELSEWHERE = {
    "audit/": "tests/identity/test_api_audit.py: numbers are of the own tenant's chain",
    "batches/": "tests/batches/test_api_batches.py",
    "nodes/<uuid:node_id>/log": "tests/cluster/test_api_node_drain.py: it is asked of a node that lives",
    "tenants/": "tests/identity/test_api_tenants.py: of the operator alone",
    "account/": "of the user and no tenant: tests/identity/test_api_account.py, tests/sso",
    "invitations/": "tests/identity/test_api_invitations.py",
    "sso/": "tests/sso",
    "webhooks/": "tests/notifications/test_api_webhooks.py",
    "requests/": "tests/cluster/test_api_requests.py",
    "versions/": "tests/registry/test_api_releases.py",
    "promotions/": "tests/registry/test_api_releases.py",
    "models/<uuid:channel_id>/": "tests/registry/test_api_releases.py, tests/registry/test_api_models.py",
    "jobs/<uuid:job_id>/retry": "tests/registry/test_api_orders.py",
}
"""Addresses of one thing whose isolation other tests show."""
BODIES: dict[str, Any] = {
    "PATCH members": {"role": "viewer"},
    "PATCH roles": {"name": "x"},
    "PATCH teams": {"name": "x"},
    "PATCH service-accounts": {"description": "x"},
    "PATCH keys": {"name": "x"},
    "PATCH pools": {"name": "x"},
    "PATCH nodes": {"schedulable": False},
    "PATCH models": {"profile": {}},
    "PATCH aliases": {"target": "first:1"},
    "POST keys": {"overlap_seconds": 0},
}


@dataclass
class Things:
    """Of one tenant, one of each kind, by the parameter of its address; ``spare`` is a member who is in no team."""

    owner: Person
    ids: dict[str, str] = field(default_factory=dict)
    spare: str = ""


def things_of(owner: Person) -> Things:
    made, tenant = Things(owner), owner.tenant
    acting = owner.acting
    inside = make_person(tenant, "inside", "viewer")
    with tenant_scope(tenant):
        membership = Membership.objects.get(user=inside.user).pk
        made.spare = str(Membership.objects.get(user=make_person(tenant, "spare", "viewer").user).pk)
    node = join_node(token=issue(owner), name="node", engine="llamacpp", agent_version="1").node
    team = create_team(acting=acting, slug="team", name="T")
    add_to_team(acting=acting, team_id=team.id, membership_id=membership)
    on_node: dict[str, Any] = {"permission": "node.view", "kind": "node", "object_id": node.id}
    digest = f"sha256:{uuid.uuid4().hex * 2}"
    register_external(acting=acting, name="first:1", digest=digest, engine="ollama", size=1)
    other = f"sha256:{uuid.uuid4().hex * 2}"
    register_external(acting=acting, name="aliased:1", digest=other, engine="ollama", size=1)
    with tenant_scope(tenant):
        channel = Channel.objects.get(model__name="first")
    day = datetime.timedelta(days=1)
    found: dict[str, Any] = {
        "membership_id": membership,
        "role_id": create_role(acting=acting, slug="own", name="x", permissions=["node.view"]).id,
        "grants/grant_id": give_grant(acting=acting, membership_id=membership, **on_node).id,
        "team_id": team.id,
        "team-grants/grant_id": give_team_grant(acting=acting, team_id=team.id, **on_node).id,
        "account_id": create_service_account(acting=acting, name="bot", role="viewer").id,
        "key_id": make_key(owner).row.id,
        "token_id": issue_join_token(acting=acting, lifetime=day, max_uses=1)[0].id,
        "pool_id": create_pool(acting=acting, name="pool").id,
        "node_id": node.id,
        "channel_id": channel.id,
        "alias_id": create_alias(acting=acting, name="alias", target="aliased:1").id,
        "job_id": submit_job(acting=acting, kind="pull", model="m", request={"model": "m"}).id,
    }
    made.ids = {name: str(id_) for name, id_ in found.items()}
    return made


def is_elsewhere(route: str) -> bool:
    return any(route.startswith(each) for each in ELSEWHERE)


ROUTES = [(path.removeprefix(PREFIX), view) for path, view in API if "<" in path]
CELLS = [
    (route, method, needed)
    for route, view in ROUTES
    if not is_elsewhere(route)
    for method, needed in view.permissions.items()
]


def address(route: str, things: Things) -> str:
    """Raises `KeyError` for a kind that the matrix has no thing of."""
    parts = []
    for part in route.split("/"):
        if part.startswith("<"):
            name = part.strip("<>").partition(":")[2]
            noun = route.partition("/")[0]
            part = things.ids.get(f"{noun}/{name}") or things.ids[name]
        parts.append(part)
    return "/" + PREFIX + "/".join(parts)


@contextmanager
def undone() -> Iterator[None]:
    """What an action does within is rolled back; its transaction is one of the test's."""
    block: Any = transaction.atomic()
    block._from_testcase = True
    with block:
        yield
        transaction.set_rollback(True)


def asked(api: APIClient, method: str, route: str, things: Things) -> int:
    noun = route.partition("/")[0]
    body: Any = {"member": things.spare} if route.endswith("/members") else BODIES.get(f"{method} {noun}")
    with undone():
        status: int = api.generic(
            method, address(route, things), "" if body is None else json.dumps(body), "application/json"
        ).status_code
    return status


Clients = dict[str, tuple[APIClient, frozenset[str]]]


@pytest.fixture
def clients(owner: Person) -> Clients:
    """Who asks, with what they may: somebody of each of the system's roles, and a key of an owner with all that there is."""
    made: Clients = {"owner": (logged_in(owner), owner.acting.permissions)}
    for role in sorted(SYSTEM_ROLES.keys() - {"owner"}):
        person = make_person(owner.tenant, f"as-{role}", role)
        made[role] = (logged_in(person), person.acting.permissions)
    made["key"] = (with_key(make_key(owner).text), owner.acting.permissions)
    return made


@dataclass
class Found:
    cells: int = 0
    leaks: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def matrix(clients: Clients, own: Things, foreign: Things, cells: list[tuple[str, str, str]] = CELLS) -> Found:
    found = Found()
    for route, method, needed in cells:
        for who, (api, permissions) in clients.items():
            name = f"{who}: {method} {route}"
            found.cells += 2
            status = asked(api, method, route, foreign)
            if status not in {403, 404}:
                found.leaks.append(f"{name} of another tenant: {status}")
            status = asked(api, method, route, own)
            if needed != SIGNED_IN and needed not in permissions:
                if status != 403:
                    found.wrong.append(f"{name} without the permission: {status}")
            elif who in {"owner", "key"} and not 200 <= status < 300:
                found.wrong.append(f"{name} by the rightful owner: {status}")
            elif status >= 500:
                found.wrong.append(f"{name}: {status}")
    return found


def test_nobody_reaches_a_thing_of_another_tenant_and_the_rightful_owner_reaches_their_own(
    owner: Person, stranger: Person, clients: Clients, valkey: redis.Redis, record_property: Callable[[str, Any], None]
) -> None:
    found = matrix(clients, things_of(owner), things_of(stranger))
    record_property("cells", found.cells)
    print(f"isolation matrix: {found.cells} cells, {len(found.leaks)} leaks")  # noqa: T201 - the number that is asked for
    assert found.leaks == []
    assert found.wrong == []
    assert found.cells > 600


def test_lists_show_the_own_tenants_things_alone(
    owner: Person, stranger: Person, clients: Clients, valkey: redis.Redis
) -> None:
    own, foreign = things_of(owner), things_of(stranger)
    shown = []
    for route in sorted({route.partition("/")[0] for route, _, _ in CELLS}):
        for who, (api, _) in clients.items():
            answer = api.get(f"/{PREFIX}{route}")
            text = answer.content.decode()
            assert not [id_ for id_ in foreign.ids.values() if id_ in text], (who, route)
            if who == "owner" and answer.status_code == 200:
                shown.append(route)
                assert [id_ for id_ in own.ids.values() if id_ in text], route
    assert len(shown) > 9


def test_every_address_of_one_thing_is_in_the_matrix_or_on_the_list() -> None:
    known = {parameter.split("/")[-1] for parameter in THINGS}
    for route, _, _ in CELLS:
        for part in route.split("/"):
            if part.startswith("<"):
                assert part.strip("<>").partition(":")[2] in known, f"{route}: make such a thing, or say what shows it"
    unused = {each for each in ELSEWHERE if not any(route.startswith(each) for route, _ in ROUTES)}
    assert unused == set()


THINGS = (
    *("membership_id", "role_id", "grants/grant_id", "team_id", "team-grants/grant_id", "account_id", "key_id"),
    *("token_id", "pool_id", "node_id", "channel_id", "alias_id", "job_id"),
)


def test_a_planted_leak_turns_the_matrix_red(
    owner: Person, stranger: Person, clients: Clients, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, foreign = things_of(owner), things_of(stranger)
    cells = [cell for cell in CELLS if cell[:2] == ("roles/<uuid:role_id>", "GET")]
    assert matrix(clients, own, foreign, cells).leaks == []
    original = role_queries.get_role

    def of_any_tenant(role_id: uuid.UUID) -> Any:
        with every_tenant():
            return original(role_id)

    monkeypatch.setattr(role_queries, "get_role", of_any_tenant)
    assert matrix(clients, own, foreign, cells).leaks

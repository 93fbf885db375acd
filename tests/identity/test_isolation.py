"""The isolation matrix: every address of one thing x every method x every role, on the own tenant's thing and on another tenant's.

The cells are made of the routes, so that a new one is covered, or named below with the test that shows it, or this fails.
"""

from __future__ import annotations

import datetime
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.experiment import create_experiment
from cluster.actions.join_token import issue_join_token
from cluster.actions.node import join_node
from cluster.actions.pool import create_pool
from cluster.experiments.terms import ExperimentTerms, Hypothesis
from cluster.models import Incident
from models_registry.actions.alias import create_alias
from models_registry.actions.job import submit_job
from models_registry.actions.mirror import create_mirror
from models_registry.actions.version import register_external
from models_registry.models import Channel, Promotion, Release, Replica, Version
from ollamamax.audit.holds import place_hold
from ollamamax.batches.models import Batch
from ollamamax.contract.prompts import Prompt, PromptPart, encode_prompt, place_of
from ollamamax.evaluations.actions.requirement import require_suite
from ollamamax.evaluations.actions.suite import create_suite
from ollamamax.evaluations.models import Evaluation
from ollamamax.identity.actions.grant import give_grant, give_team_grant
from ollamamax.identity.actions.invitation import invite
from ollamamax.identity.actions.role import create_role
from ollamamax.identity.actions.service_account import create_service_account
from ollamamax.identity.actions.team import add_to_team, create_team
from ollamamax.identity.actions.tenant import change_own_tenant
from ollamamax.identity.api.base import SIGNED_IN
from ollamamax.identity.models import Membership
from ollamamax.identity.queries import role as role_queries
from ollamamax.identity.roles import SYSTEM_ROLES
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.metering.actions.budget import create_budget
from ollamamax.metering.models import KeptPrompt
from ollamamax.notifications.actions.stream import create_stream
from ollamamax.notifications.actions.webhook import create_webhook, send_test_event
from ollamamax.notifications.models import WebhookDelivery
from ollamamax.oauth.actions.application import create_application
from ollamamax.oauth.actions.workload import create_workload
from ollamamax.provisioning.actions.token import issue_token
from ollamamax.sealed_to import seal_to
from ollamamax.sso.actions.domain import add_domain
from ollamamax.sso.actions.enforcement import mark_account
from ollamamax.sso.actions.provider import create_provider
from tests.architecture.test_routes import API
from tests.cast import Person, logged_in, make_key, make_person, with_key
from tests.cluster.conftest import issue

pytestmark = pytest.mark.django_db
PREFIX = "api/v1/"
ELSEWHERE = {
    "audit/<": "tests/identity/test_api_audit.py: numbers are of the own tenant's chain",
    "account/": "of the user and no tenant: tests/identity/test_api_account.py, tests/sso",
    "requests/": "tests/cluster/test_api_requests.py",
    "rollouts/": "tests/registry/test_api_rollouts.py",
    "models/<uuid:channel_id>/rollouts": "tests/registry/test_api_rollouts.py",
}
"""Addresses of one thing whose isolation other tests show."""
BODIES: dict[str, Any] = {
    "PATCH members": {"role": "viewer"},
    "PATCH roles": {"name": "x"},
    "PATCH teams": {"name": "x"},
    "PATCH service-accounts": {"description": "x"},
    "PATCH keys": {"name": "x"},
    "PATCH pools": {"name": "x"},
    "PATCH experiments": {"every_hours": 24},
    "PATCH applications": {"name": "x"},
    "PATCH budgets": {"hard": False},
    "PATCH nodes": {"schedulable": False},
    "PATCH models": {"profile": {}},
    "PATCH aliases": {"target": "first:1"},
    "POST keys": {"overlap_seconds": 0},
    "PATCH versions": {"stage": "staged"},
    "PATCH evaluation-suites": {"description": "x"},
    "POST versions/<uuid:release_id>/evaluations": {"suite": "{suite_id}", "key": "{key_id}"},
    "PATCH mirrors": {"check_seconds": 0},
    "PATCH webhooks": {"description": "x"},
    "PATCH audit/streams/<uuid:stream_id>": {"name": "x"},
    "POST audit/holds/<uuid:hold_id>/release": {},
    "PATCH tenants": {"name": "x"},
    "POST tenants/<uuid:tenant_id>/deletion": {"slug": "acme"},
    "PATCH sso/providers/<uuid:provider_id>": {"name": "x"},
    "POST sso/providers/<uuid:provider_id>/dry-run": {},
    "POST sso/providers/<uuid:provider_id>/directory/tokens": {"name": "x"},
    "POST sso/providers/<uuid:provider_id>/directory/tokens/<uuid:token_id>/rotate": {"overlap_hours": 1},
    "POST incidents/<uuid:incident_id>/silence": {"seconds": 60},
    "POST webhooks/<uuid:webhook_id>/rotate": {"overlap_seconds": 0},
    "POST models/<uuid:channel_id>/copy": {"name": "copied:1"},
    "POST models/<uuid:channel_id>/channels": {"name": "further", "version": "{digest}"},
    "POST models/<uuid:channel_id>/moves": {"version": "{before}"},
    "PUT models/<uuid:channel_id>/protection": {"protected": False},
}
"""By method and noun, or address; what stands in braces is one of `Things.ids`."""
QUERIES = {
    "models/<uuid:channel_id>/comparison": "?before={before}&after={digest}",
    "models/<uuid:channel_id>/evaluations/comparison": "?before={before}&after={digest}",
}
ANSWERS = {
    "GET nodes/<uuid:node_id>/log": {503},  # nobody is there to tell it
    "POST jobs/<uuid:job_id>/retry": {409},  # it waits still
    "POST versions/<uuid:release_id>/evaluations": {409},  # no node is to have that one
    "POST experiments/<uuid:experiment_id>/runs": {409},  # its node is not heard
    "POST experiments/<uuid:experiment_id>/stop": {409},  # it does not run
    "POST incidents/<uuid:incident_id>/recovery": {409},  # it is about no node
    "POST sso/domains/<uuid:domain_id>/verify": {400},  # no such server
    "POST sso/providers/<uuid:provider_id>/test": {403, 503},  # neither; and a key has no browser
    "POST tenants/<uuid:tenant_id>/deletion": {403, 409},  # a key is no owner; and its trail is under legal hold
    "DELETE tenants/<uuid:tenant_id>/deletion": {200, 403},
    "GET tenants/<uuid:tenant_id>/export": {200, 403},
    "DELETE sso/break-glass/<uuid:account_id>": {204, 403},  # a key is no owner
    "GET sso/providers/<uuid:provider_id>/test": {404},  # never tested
}
"""What the rightful owner is told where it is no success."""


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
    digest = _digest()
    register_external(acting=acting, name="first:1", digest=digest, engine="ollama", size=1)
    register_external(acting=acting, name="aliased:1", digest=_digest(), engine="ollama", size=1)
    with tenant_scope(tenant):
        channel = Channel.objects.get(model__name="first")
        before = Release.objects.get(version__digest=digest)
    after = register_external(acting=acting, name="first:1", digest=_digest(), engine="ollama", size=1, move=True)
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
        "experiment_id": create_experiment(
            acting=acting,
            name="freeze",
            terms=ExperimentTerms("engine_freeze", (node.id.hex,), hypothesis=Hypothesis(failed_share=0.0)),
        ).id,
        "channel_id": channel.id,
        "alias_id": create_alias(acting=acting, name="alias", target="aliased:1").id,
        "budget_id": create_budget(
            acting=acting, whose="tenant", unit="tokens", period="day", most=Decimal(1_000_000)
        ).id,
        "job_id": submit_job(acting=acting, kind="pull", model="m", request={"model": "m"}).id,
        "tenant_id": tenant.id,
        "invitation_id": invite(acting=acting, email=f"invited@{tenant.slug}.example", role="viewer")[0].id,
        "release_id": before.id,
        "digest": after.digest,
        "before": digest,
        "promotion_id": _promotion(after, inside),
        "batch_id": _batch(owner),
        **_of_evaluations(owner, before),
    }
    found["workload_id"] = create_workload(
        acting=acting,
        name="workload",
        service_account=found["account_id"],
        issuer="https://ci.example",
        audience="ollamamax",
        rules=[("sub", "x")],
    ).pk
    redirects = ["https://front.example/callback"]
    found["application_id"] = create_application(acting=acting, name="front end", redirect_uris=redirects)[0].pk
    with tenant_scope(tenant):
        told = {"key": "disk_full", "kind": "disk_full", "about": "fleet", "severity": "warning", "text": "x"}
        Replica.objects.create(tenant=tenant, node=node, version=after, changed_at=timezone.now())
        found["incident_id"] = Incident.objects.create(tenant=tenant, **told).pk
    found["hold_id"] = place_hold(acting=acting, name=tenant.pk.hex, reason="x").pk
    found["stream_id"] = create_stream(acting=acting, name="SIEM", host="syslog.example").pk
    found |= _of_single_sign_on(owner) | _of_webhooks(owner) | _of_prompts(owner)
    found["mirror_id"] = create_mirror(
        acting=owner.acting, prefix="hub", upstream="registry.ollama.ai/library", most_bytes=1 << 30, check_seconds=60
    ).id
    made.ids = {name: str(id_) for name, id_ in found.items()}
    return made


def _digest() -> str:
    return f"sha256:{uuid.uuid4().hex * 2}"


def _promotion(version: Version, asker: Person) -> uuid.UUID:
    """One that another person asked for, of the version that is there now."""
    with tenant_scope(asker.tenant):
        release = Release.objects.get(version=version)
        Release.objects.filter(pk=release.pk).update(stage="staged")
        return Promotion.objects.create(
            tenant=asker.tenant, release=release, needed=1, person=str(asker.user.pk), by_name=asker.email
        ).pk


def _batch(owner: Person) -> uuid.UUID:
    with tenant_scope(owner.tenant):
        return Batch.objects.create(
            tenant=owner.tenant, key=make_key(owner).row, endpoint="/v1/chat/completions", completion_window="24h",
            input_file=uuid.uuid4(), expires_at=timezone.now() + datetime.timedelta(days=1),
        ).pk  # fmt: skip


def _of_evaluations(owner: Person, release: Release) -> dict[str, uuid.UUID]:
    """Of a version that channels point at no more, so that the suite that it may be evaluated by is another; and what promotion requires."""
    cases = [
        {"name": "x", "messages": [{"role": "user", "content": "x"}], "checks": [{"kind": "exact", "expected": "x"}]}
    ]
    suite, required = (create_suite(acting=owner.acting, name=name, cases=cases) for name in ("own", "required"))
    need = require_suite(acting=owner.acting, suite_id=required.pk, least_score=1.0, model="aliased")
    with tenant_scope(owner.tenant):
        evaluation = Evaluation(
            tenant=owner.tenant, release=release, suite=required, suite_name="required", suite_digest=suite.digest,
            key=make_key(owner).row, by_kind="user", by_id="x", by_name="x", expires_at=timezone.now(),
        )  # fmt: skip
        evaluation.put_cases(suite.cases)
        evaluation.save()
    return {"suite_id": suite.pk, "requirement_id": need.pk, "evaluation_id": evaluation.pk}


def _of_prompts(owner: Person) -> dict[str, uuid.UUID]:
    tenant, request = change_own_tenant(acting=owner.acting, prompt_days=9), uuid.uuid4()
    plain = encode_prompt(Prompt("chat", [PromptPart("user", f"asked in {request}")], 9))
    sealed = seal_to(bytes(tenant.prompt_key or b""), plain, place_of(tenant.id.hex, request.hex))
    with tenant_scope(owner.tenant):
        KeptPrompt.objects.create(
            request=request, tenant=tenant, key=uuid.uuid4(), received_at=timezone.now(), sealed=sealed
        )
    return {"prompts/request_id": request}


def _of_single_sign_on(owner: Person) -> dict[str, uuid.UUID]:
    acting = owner.acting
    with tenant_scope(owner.tenant):
        membership = Membership.objects.get(user=owner.user).pk
    provider = create_provider(acting=acting, name="Login", issuer="https://id.example", client_id="c").pk
    return {
        "provider_id": provider,
        "sso/token_id": issue_token(acting=acting, provider_id=provider, name="Directory")[0].pk,
        "domain_id": add_domain(acting=acting, domain="nowhere.invalid").pk,
        "sso/account_id": mark_account(acting=acting, membership_id=membership).pk,
    }


def _of_webhooks(owner: Person) -> dict[str, uuid.UUID]:
    """With a delivery that has ended, so that it can be made once more."""
    made = create_webhook(acting=owner.acting, url="https://receiver.example/", events=["key.*"])[0]
    delivery = send_test_event(acting=owner.acting, webhook_id=made.pk)
    with tenant_scope(owner.tenant):
        WebhookDelivery.objects.update(state="delivered", ended_at=timezone.now())
    return {"webhook_id": made.pk, "delivery_id": delivery.pk}


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
    return "/" + PREFIX + "/".join(parts) + QUERIES.get(route, "").format(**things.ids)


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
    body: Any = {"member": things.spare} if route.endswith("/members") else BODIES.get(f"{method} {route}")
    if body is None and "/<" in route and route.count("/") == 1:
        body = BODIES.get(f"{method} {noun}")
    if body is None and f"{method} {noun}" == "POST keys":
        body = BODIES[f"{method} {noun}"]
    body = body and {name: each.format(**things.ids) if isinstance(each, str) else each for name, each in body.items()}
    with undone():
        status: int = api.generic(
            method, address(route, things), "" if body is None else json.dumps(body), "application/json"
        ).status_code
    return status


@pytest.fixture(autouse=True)
def nobody_is_out_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name but this machine's is known: what the routes would ask of others fails at once."""

    def look_up(host: Any, *given: Any, **named: Any) -> Any:
        if host in {None, "localhost", "127.0.0.1"}:
            return known(host, *given, **named)
        raise socket.gaierror("no such name")

    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)


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
            found.cells += 1
            if needed != SIGNED_IN and needed not in permissions:
                # Before anything is looked for: of another tenant's thing they are told the same.
                if (status := asked(api, method, route, own)) != 403:
                    found.wrong.append(f"{name} without the permission: {status}")
                continue
            found.cells += 1
            if (status := asked(api, method, route, foreign)) not in {403, 404}:
                found.leaks.append(f"{name} of another tenant: {status}")
            if who not in {"owner", "key"}:
                continue
            found.cells += 1
            status = asked(api, method, route, own)
            if status not in ANSWERS.get(f"{method} {route}", range(200, 300)):
                found.wrong.append(f"{name} by the rightful owner: {status}")
    return found


@pytest.mark.no_cover
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(3))
def test_nobody_reaches_a_thing_of_another_tenant_and_the_rightful_owner_reaches_their_own(
    part: int,
    owner: Person,
    stranger: Person,
    clients: Clients,
    valkey: redis.Redis,
    record_property: Callable[[str, Any], None],
) -> None:
    found = matrix(clients, things_of(owner), things_of(stranger), CELLS[part::3])
    record_property("cells", found.cells)
    print(f"isolation matrix: {found.cells} cells, {len(found.leaks)} leaks")  # noqa: T201 - the number that is asked for
    assert found.leaks == []
    assert found.wrong == []
    assert found.cells > 200


@pytest.mark.no_cover
def test_lists_show_the_own_tenants_things_alone(
    owner: Person, stranger: Person, clients: Clients, valkey: redis.Redis
) -> None:
    own, foreign = things_of(owner), things_of(stranger)
    shown = []
    for route in sorted({route.partition("/<")[0] for route, _, _ in CELLS}):
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
    *("token_id", "pool_id", "node_id", "channel_id", "alias_id", "job_id", "tenant_id", "invitation_id"),
    *(
        "release_id",
        "promotion_id",
        "batch_id",
        "provider_id",
        "domain_id",
        "webhook_id",
        "mirror_id",
        "delivery_id",
        "budget_id",
        "workload_id",
        "application_id",
        "incident_id",
        "experiment_id",
        "hold_id",
        "stream_id",
        "suite_id",
        "requirement_id",
        "evaluation_id",
        "prompts/request_id",
    ),
)


@pytest.mark.no_cover
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

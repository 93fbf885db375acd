"""Every noun that somebody can make again and again has a bound: one more is refused by the setting's name, and one less makes room."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from cluster.actions.experiment import create_experiment, delete_experiment
from cluster.actions.join_token import issue_join_token, revoke_join_token
from cluster.actions.node import join_node, remove_node
from cluster.actions.pool import create_pool, delete_pool
from cluster.experiments.terms import ExperimentTerms, Hypothesis
from models_registry.actions.alias import create_alias, delete_alias
from models_registry.actions.blob import put_bytes
from models_registry.actions.image import push_image
from models_registry.actions.job import cancel_job, submit_job
from models_registry.actions.mirror import create_mirror, delete_mirror
from models_registry.actions.name import copy_name, delete_name
from models_registry.actions.version import register_external
from models_registry.distribution import image as images
from models_registry.manifest import OCI_IMAGE
from models_registry.models import Alias, Release, Upload
from ollamamax.batches.actions.batch import create_batch
from ollamamax.batches.actions.file import create_file, delete_file
from ollamamax.batches.models import Batch
from ollamamax.env import SETTINGS, Environment
from ollamamax.evaluations.actions.evaluation import cancel_evaluation, start_evaluation
from ollamamax.evaluations.actions.requirement import end_requirement, require_suite
from ollamamax.evaluations.actions.suite import create_suite, delete_suite
from ollamamax.identity import bounds
from ollamamax.identity.actions import idempotency
from ollamamax.identity.actions.grant import end_grant, give_grant
from ollamamax.identity.actions.invitation import invite, revoke_invitation
from ollamamax.identity.actions.key import issue_key, revoke_key
from ollamamax.identity.actions.member import add_member, remove_member
from ollamamax.identity.actions.role import create_role, delete_role
from ollamamax.identity.actions.service_account import create_service_account, delete_service_account
from ollamamax.identity.actions.team import create_team, delete_team
from ollamamax.identity.actions.tenant import create_tenant
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.bounds import BOUNDS, Bound
from ollamamax.identity.models import Membership
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict, Overloaded, TooLarge
from ollamamax.kernel.ids import uuid7
from ollamamax.metering.actions.budget import create_budget, delete_budget, set_price
from ollamamax.notifications.actions.webhook import create_webhook, delete_webhook
from ollamamax.oauth.actions.application import create_application, delete_application
from ollamamax.oauth.actions.workload import create_workload, delete_workload
from ollamamax.provisioning.actions.group import create_directory_group, remove_directory_group
from ollamamax.provisioning.actions.token import issue_token, revoke_token
from ollamamax.provisioning.actions.user import create_directory_user, remove_directory_user
from ollamamax.responses.actions.conversation import add_items, create_conversation, delete_conversation
from ollamamax.responses.actions.response import Keep, begin_response, cancel_response
from ollamamax.sso.actions.domain import add_domain, remove_domain
from ollamamax.sso.actions.provider import create_provider, delete_provider
from ollamamax.sso.models import IdentityProvider
from tests.cast import PASSWORD, SYSTEM, Key, Person, logged_in, make_key

DAY = datetime.timedelta(days=1)


@dataclass
class World:
    """One tenant's owner, with a key of theirs."""

    owner: Person
    key: Key

    @property
    def acting(self) -> Any:
        return self.owner.acting

    def external(self, name: str) -> Any:
        digest = f"sha256:{uuid.uuid4().hex * 2}"
        return register_external(acting=self.acting, name=name, digest=digest, engine="ollama", size=1)

    def node(self, name: str) -> Any:
        _, token = issue_join_token(acting=self.acting, lifetime=DAY, max_uses=1)
        return join_node(token=token, name=name, engine="ollama", agent_version="1").node

    def experiment(self, name: str) -> Any:
        terms = ExperimentTerms("engine_freeze", (self.node(name).id.hex,), hypothesis=Hypothesis(failed_share=0.0))
        return create_experiment(acting=self.acting, name=name, terms=terms)

    def member(self, name: str) -> Any:
        user = create_user(acting=SYSTEM, email=f"{name}@acme.example", password=PASSWORD)
        add_member(acting=SYSTEM, tenant=self.owner.tenant, user=user, role="viewer")
        return user

    def claim(self, name: str) -> Any:
        with tenant_scope(self.owner.tenant):
            return idempotency.claim(tenant=self.owner.tenant.id, caller="x", key=name, fingerprint="f" * 64)

    def forget(self, id_: Any) -> None:
        with tenant_scope(self.owner.tenant):
            idempotency.forget(id_)

    def grant(self, name: str) -> Any:
        with tenant_scope(self.owner.tenant):
            member = Membership.objects.get(user=self.owner.user)
        node = self.node(name)
        return give_grant(
            acting=self.acting, membership_id=member.id, permission="node.view", kind="node", object_id=node.id
        )

    def file(self, name: str) -> Any:
        given: dict[str, Any] = {"file_id": uuid7(), "name": name, "size": 1, "sha256": "0" * 64, "most_bytes": 100}
        return create_file(acting=self.key.acting, **given)

    def batch(self, name: str) -> Any:
        given: dict[str, Any] = {"completion_window": "24h", "metadata": None, "endpoint": "/v1/completions"}
        return create_batch(acting=self.key.acting, input_file=self.file(name).id, **given)

    def ended(self, batch: Any) -> None:
        with every_tenant():
            Batch.objects.filter(pk=batch.pk).update(status="completed", completed_at=timezone.now())

    def suite(self, name: str) -> Any:
        asked = [{"role": "user", "content": "x"}]
        case = {"name": "x", "messages": asked, "checks": [{"kind": "exact", "expected": "x"}]}
        return create_suite(acting=self.acting, name=name, cases=[case])

    def evaluation(self, name: str) -> Any:
        with tenant_scope(self.owner.tenant):
            release = Release.objects.order_by("id").first() or Release()
        given: dict[str, Any] = {"suite": self.suite(name).id, "key": self.key.row.id}
        return start_evaluation(acting=self.acting, release_id=release.pk, **given)

    def upload_forgotten(self, blob: Any) -> None:
        with every_tenant():
            Upload.objects.filter(blob=blob).delete()

    def budget(self, unit: str, period: str) -> Any:
        return create_budget(acting=self.acting, whose="tenant", unit=unit, period=period, most=decimal.Decimal(9))

    def price(self, name: str) -> Any:
        zero = decimal.Decimal(0)
        given: dict[str, Any] = {"prompt_million": zero, "completion_million": zero, "second": zero}
        return set_price(acting=self.acting, model=name, currency="EUR", **given)

    def image(self, note: str) -> Any:
        config = put_bytes(tenant=self.owner.tenant.id, data=b"{}", media_type="text/plain")
        with tenant_scope(self.owner.tenant):
            held: dict[str, Any] = {"tenant": self.owner.tenant, "blob": config, "repository": "art"}
            Upload.objects.get_or_create(**held, defaults={"sent_at": timezone.now()})
        body = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "annotations": {"note": note}}
        body["config"] = {"digest": config.digest, "size": 2, "mediaType": "application/x"}
        image = images.read(json.dumps(body).encode(), OCI_IMAGE)
        return push_image(acting=self.acting, name="acme/art", tag="x", image=image)

    def provider(self) -> IdentityProvider:
        with tenant_scope(self.owner.tenant):
            found = IdentityProvider.objects.first()
        return found or create_provider(acting=self.acting, name="p", issuer="https://p.example", client_id="omx")

    def background(self, name: str) -> Any:
        id_ = uuid7()
        keep = Keep(self.owner.tenant.id, self.key.row.id, id_, {"status": "queued"}, [], request={"model": name})
        begin_response(keep, lifetime=DAY, lease=DAY)
        return id_


_KINDS = [(unit, period) for unit in ("tokens", "prompt_tokens") for period in ("day", "week", "month")]
Make = Callable[[World, str], Any]
Free = Callable[[World, Any], Any]
TABLE: dict[Bound, tuple[int, Make, Free | None]] = {
    # How many there are at first, how one is made, and how one goes; where none can, the operator raises the bound.
    bounds.PRICES: (0, lambda w, n: w.price(n), None),
    bounds.TENANTS: (1, lambda w, n: create_tenant(acting=SYSTEM, slug=n, name=n), None),
    bounds.USERS: (1, lambda w, n: create_user(acting=SYSTEM, email=f"{n}@a.example", password=PASSWORD), None),
    bounds.MEMBERS: (
        1,
        lambda w, n: w.member(n),
        lambda w, user: remove_member(acting=w.acting, tenant=w.owner.tenant, user=user),
    ),
    bounds.ROLES: (
        0,
        lambda w, n: create_role(acting=w.acting, slug=n, name=n, permissions=["node.view"]),
        lambda w, role: delete_role(acting=w.acting, role_id=role.id),
    ),
    bounds.INVITATIONS: (
        0,
        lambda w, n: invite(acting=w.acting, email=f"{n}@new.example", role="viewer")[0],
        lambda w, made: revoke_invitation(acting=w.acting, invitation_id=made.id),
    ),
    bounds.MIRRORS: (
        0,
        lambda w, n: create_mirror(
            acting=w.acting, prefix=n, upstream="registry.ollama.ai/library", most_bytes=1 << 30, check_seconds=60
        ),
        lambda w, made: delete_mirror(acting=w.acting, mirror_id=made.id),
    ),
    bounds.WEBHOOKS: (
        0,
        lambda w, n: create_webhook(acting=w.acting, url=f"https://93.184.216.34/{n}", events=["key.issue"])[0],
        lambda w, made: delete_webhook(acting=w.acting, webhook_id=made.id),
    ),
    bounds.TEAMS: (
        0,
        lambda w, n: create_team(acting=w.acting, slug=n, name=n),
        lambda w, team: delete_team(acting=w.acting, team_id=team.id),
    ),
    bounds.SERVICE_ACCOUNTS: (
        0,
        lambda w, n: create_service_account(acting=w.acting, name=n, role="viewer"),
        lambda w, account: delete_service_account(acting=w.acting, account_id=account.id),
    ),
    bounds.POOLS: (
        0,
        lambda w, n: create_pool(acting=w.acting, name=n),
        lambda w, pool: delete_pool(acting=w.acting, pool_id=pool.id),
    ),
    bounds.EXPERIMENTS: (
        0,
        lambda w, n: w.experiment(n),
        lambda w, made: delete_experiment(acting=w.acting, experiment_id=made.id),
    ),
    bounds.GRANTS: (0, lambda w, n: w.grant(n), lambda w, grant: end_grant(acting=w.acting, grant_id=grant.id)),
    bounds.IDEMPOTENT_ANSWERS: (0, lambda w, n: w.claim(n), lambda w, id_: w.forget(id_)),
    bounds.KEYS: (
        1,
        lambda w, n: issue_key(acting=w.acting, name=n)[0],
        lambda w, key: revoke_key(acting=w.acting, key_id=key.id),
    ),
    bounds.IDENTITY_PROVIDERS: (
        0,
        lambda w, n: create_provider(acting=w.acting, name=n, issuer=f"https://{n}.example", client_id="omx"),
        lambda w, made: delete_provider(acting=w.acting, provider_id=made.id),
    ),
    bounds.EMAIL_DOMAINS: (
        0,
        lambda w, n: add_domain(acting=w.acting, domain=f"{n}.example"),
        lambda w, made: remove_domain(acting=w.acting, domain_id=made.id),
    ),
    bounds.JOIN_TOKENS: (
        0,
        lambda w, n: issue_join_token(acting=w.acting, lifetime=DAY, max_uses=1)[0],
        lambda w, token: revoke_join_token(acting=w.acting, token_id=token.id),
    ),
    bounds.NODES: (0, lambda w, n: w.node(n), lambda w, node: remove_node(acting=w.acting, node_id=node.id)),
    bounds.MODELS: (
        1,
        lambda w, n: copy_name(acting=w.acting, source="first:1", destination=f"m:{n}"),
        lambda w, channel: delete_name(acting=w.acting, name=f"m:{channel.name}"),
    ),
    bounds.VERSIONS: (
        1,
        lambda w, n: w.external(f"m:{n}"),
        lambda w, version: delete_name(acting=w.acting, name=version.manifest["name"]),
    ),
    bounds.ALIASES: (
        0,
        lambda w, n: create_alias(acting=w.acting, name=n, target="first:1"),
        lambda w, alias: delete_alias(acting=w.acting, alias_id=alias.id),
    ),
    bounds.IMAGES: (0, lambda w, n: w.image(n), None),
    bounds.UPLOADS: (
        0,
        lambda w, n: put_bytes(tenant=w.owner.tenant.id, data=n.encode(), media_type="text/plain"),
        lambda w, blob: w.upload_forgotten(blob),
    ),
    bounds.JOBS: (
        0,
        lambda w, n: submit_job(acting=w.acting, kind="pull", model=n, request={"model": n}),
        lambda w, job: cancel_job(acting=w.acting, job_id=job.id),
    ),
    bounds.FILES: (
        0,
        lambda w, n: w.file(n),
        lambda w, file: delete_file(acting=w.key.acting, file_id=file.id),
    ),
    bounds.BATCHES: (0, lambda w, n: w.batch(n), lambda w, batch: w.ended(batch)),
    bounds.EVALUATION_SUITES: (
        0,
        lambda w, n: w.suite(n),
        lambda w, suite: delete_suite(acting=w.acting, suite_id=suite.id),
    ),
    bounds.EVALUATION_REQUIREMENTS: (
        0,
        lambda w, n: require_suite(acting=w.acting, suite_id=w.suite(n).id, least_score=1.0),
        lambda w, need: end_requirement(acting=w.acting, requirement_id=need.id),
    ),
    bounds.EVALUATIONS: (
        0,
        lambda w, n: w.evaluation(n),
        lambda w, made: cancel_evaluation(acting=w.acting, evaluation_id=made.id),
    ),
    bounds.CONVERSATIONS: (
        0,
        lambda w, n: create_conversation(acting=w.key.acting, items=[], metadata={}),
        lambda w, made: delete_conversation(acting=w.key.acting, conversation_id=made.id),
    ),
    bounds.BUDGETS: (
        0,
        lambda w, n: w.budget(*_KINDS[int(n.removeprefix("n"))]),
        lambda w, budget: delete_budget(acting=w.acting, budget_id=budget.id),
    ),
    bounds.APPLICATIONS: (
        0,
        lambda w, n: create_application(acting=w.acting, name=n, redirect_uris=["https://front.example/callback"])[0],
        lambda w, application: delete_application(acting=w.acting, application_id=application.pk),
    ),
    bounds.WORKLOADS: (
        0,
        lambda w, n: create_workload(
            acting=w.acting,
            name=n,
            service_account=create_service_account(acting=w.acting, name=f"robot-{n}", role="member").id,
            issuer="https://ci.example",
            audience="ollamamax",
            rules=[("sub", "repo:example")],
        ),
        lambda w, workload: delete_workload(acting=w.acting, workload_id=workload.id),
    ),
    bounds.SCIM_TOKENS: (
        0,
        lambda w, n: issue_token(acting=w.acting, provider_id=w.provider().id, name=n)[0],
        lambda w, token: revoke_token(acting=w.acting, provider_id=w.provider().id, token_id=token.id),
    ),
    bounds.DIRECTORY_USERS: (
        0,
        lambda w, n: create_directory_user(
            acting=SYSTEM, provider=w.provider(), resource={"userName": f"{n}@b.example"}
        ),
        lambda w, user: remove_directory_user(acting=SYSTEM, provider=w.provider(), user_id=user.id),
    ),
    bounds.DIRECTORY_GROUPS: (
        0,
        lambda w, n: create_directory_group(
            acting=SYSTEM, provider=w.provider(), display_name=n, external_id=n, members={}
        ),
        lambda w, group: remove_directory_group(acting=SYSTEM, provider=w.provider(), group_id=group.id),
    ),
    bounds.BACKGROUND: (
        0,
        lambda w, n: w.background(n),
        lambda w, id_: cancel_response(acting=w.key.acting, response_id=id_),
    ),
}


@pytest.fixture
def world(valkey: redis.Redis, owner: Person, tmp_path: Path, settings: Settings) -> World:
    settings.HOME = tmp_path
    made = World(owner, make_key(owner))
    made.external("first:1")
    return made


def set_bound(settings: Settings, bound: Bound, most: int) -> None:
    settings.ENV = Environment({**settings.ENV.values, bound.setting: most})


def test_every_bound_is_in_the_table_and_every_such_setting_is_a_bound() -> None:
    assert set(TABLE) == set(BOUNDS)
    named = {each.name for each in SETTINGS if each.name.startswith("OLLAMAMAX_MAX_")}
    counted = {name for name in named if name.endswith(("_PER_TENANT", "_TENANTS", "_USERS"))}
    assert counted - {bound.setting for bound in BOUNDS} == {"OLLAMAMAX_MAX_SENDING_PER_TENANT"}


@pytest.mark.django_db
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.nouns)
def test_one_more_is_refused_and_one_less_makes_room(bound: Bound, world: World, settings: Settings) -> None:
    held, make, free = TABLE[bound]
    set_bound(settings, bound, held + 2)
    first, _ = make(world, "n1"), make(world, "n2")
    with pytest.raises(Overloaded if bound.passes else Conflict, match=bound.setting) as refused:
        make(world, "n3")
    assert str(held + 2) in refused.value.message
    assert (refused.value.retry_after is not None) is bound.passes
    if free is None:
        set_bound(settings, bound, held + 3)
    else:
        free(world, first)
    make(world, "n4")
    with pytest.raises(Overloaded if bound.passes else Conflict, match=bound.setting):
        make(world, "n5")


@pytest.mark.django_db
def test_what_is_there_can_be_published_again_at_the_bound(world: World, settings: Settings) -> None:
    for bound in (bounds.MODELS, bounds.VERSIONS):
        set_bound(settings, bound, 1)
    copy_name(acting=world.acting, source="first:1", destination="first:1")
    with pytest.raises(Conflict, match=r"taken|already"):
        create_tenant(acting=SYSTEM, slug=world.owner.tenant.slug, name="again")


@pytest.mark.django_db
def test_the_api_says_it_as_a_problem(world: World, settings: Settings) -> None:
    set_bound(settings, bounds.ALIASES, 1)
    client = logged_in(world.owner)
    for status in (201, 409):
        body = {"name": f"a{status}", "target": "first:1"}
        answer = client.post("/api/v1/aliases", body, format="json")
        assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert bounds.ALIASES.setting in answer.json()["detail"]


@pytest.mark.django_db(transaction=True)
def test_those_who_make_at_the_same_moment_do_not_overshoot(world: World, settings: Settings) -> None:
    set_bound(settings, bounds.ALIASES, 3)

    def make(number: int) -> str:
        try:
            create_alias(acting=world.acting, name=f"a{number}", target="first:1")
        except Conflict as error:
            return error.message
        finally:
            connection.close()
        return ""

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(make, range(6)))
    assert told.count("") == 3
    assert all(bounds.ALIASES.setting in each for each in told if each)
    with tenant_scope(world.owner.tenant):
        assert Alias.objects.count() == 3


def test_a_tenant_sends_so_many_at_once(settings: Settings) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_MAX_SENDING_PER_TENANT": 1})
    refused = pytest.raises(Overloaded, match="OLLAMAMAX_MAX_SENDING_PER_TENANT")
    with bounds.sending("a"), bounds.sending("b"), refused, bounds.sending("a"):
        pass
    with bounds.sending("a"):
        pass


@pytest.mark.django_db
def test_items_of_conversations_count_among_the_bytes_that_are_kept(world: World, settings: Settings) -> None:
    setting = "OLLAMAMAX_MAX_TENANT_RESPONSES_BYTES"
    settings.ENV = Environment({**settings.ENV.values, setting: 1024})
    items = [{"type": "message", "role": "user", "content": "x" * 2000}]
    made = create_conversation(acting=world.key.acting, items=items, metadata={})
    with pytest.raises(TooLarge, match=setting):
        create_conversation(acting=world.key.acting, items=items, metadata={})
    with pytest.raises(TooLarge, match=setting):
        add_items(acting=world.key.acting, conversation_id=made.id, items=items)
    delete_conversation(acting=world.key.acting, conversation_id=made.id)
    create_conversation(acting=world.key.acting, items=items, metadata={})

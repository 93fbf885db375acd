"""`/api/v1/nodes/tokens` and `/api/v1/nodes/join`: how a host becomes a node."""

from __future__ import annotations

import datetime
import threading
import uuid
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from cluster.actions.join_token import issue_join_token
from cluster.actions.node import join_node
from cluster.models import JoinToken, Node
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.identity.actions.tenant import create_tenant
from ollamamax.identity.keys import matches, parse_key
from ollamamax.identity.queries.tenant import may_join_nodes
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Forbidden, OllamaMaxError
from ollamamax.kernel.principal import system
from tests.cast import SYSTEM, Person
from tests.cluster.conftest import Join, issue

TOKENS = "/api/v1/nodes/tokens"
JOIN = "/api/v1/nodes/join"


@pytest.mark.django_db
def test_an_owner_issues_a_token_and_sees_it_once(owner: Person, owner_api: APIClient) -> None:
    answer = owner_api.post(TOKENS, {"expires_in": 600, "max_uses": 2}, format="json")
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    text = answer.json()["token"]
    listed = owner_api.get(TOKENS).json()["results"]
    assert [(each["max_uses"], each["uses"]) for each in listed] == [(2, 0)]
    assert "token" not in listed[0]
    parsed = parse_key(text, "join")
    assert parsed is not None
    with tenant_scope(owner.tenant):
        assert matches(parsed[1], JoinToken.objects.get().secret_hash)


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{"expires_in": 1}, {"expires_in": "soon"}, {"max_uses": 0}, {"max_uses": 10**9}, []])
def test_a_bad_wish_for_a_token_is_refused(owner_api: APIClient, body: Any) -> None:
    answer = owner_api.post(TOKENS, body, format="json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.django_db
def test_members_and_strangers_get_no_token(
    member_api: APIClient, stranger_api: APIClient, owner: Person, anonymous_api: APIClient
) -> None:
    issue(owner)
    assert member_api.post(TOKENS, {}, format="json").status_code == 403
    assert member_api.get(TOKENS).status_code == 403
    assert anonymous_api.get(TOKENS).status_code == 401
    assert stranger_api.get(TOKENS).json()["results"] == []
    with every_tenant():
        token = JoinToken.objects.get()
    assert stranger_api.delete(f"{TOKENS}/{token.id}").status_code == 404
    assert stranger_api.delete(f"{TOKENS}/{uuid.uuid4()}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_host_joins_and_its_secrets_are_kept_as_hashes(
    owner: Person, anonymous_api: APIClient, valkey: redis.Redis
) -> None:
    body = {"token": issue(owner), "name": "gpu-1", "engine": "ollama", "agent_version": "1"}
    answer = anonymous_api.post(JOIN, body, format="json")
    assert answer.status_code == 201
    made = answer.json()
    with tenant_scope(owner.tenant):
        node = Node.objects.get()
    assert (made["node"], made["name"], made["tenant"]) == (node.id.hex, "gpu-1", owner.tenant.id.hex)
    parsed = parse_key(made["secret"], "node")
    assert parsed is not None
    assert matches(parsed[1], node.secret_hash)
    with redis.Redis.from_url(made["redis_url"]) as own:
        assert own.set(keys.node_state(made["node"]), b"x")
        with pytest.raises(redis.exceptions.NoPermissionError):
            own.hgetall(keys.OPEN)
    assert valkey.hget(keys.directory("nodes"), made["node"]) is not None
    assert valkey.hget(keys.directory("node_keys"), parsed[0]) is not None
    record = AuditRecord.objects.get(action="node.join")
    assert record.actor_kind == "system"
    assert made["secret"] not in str(record.detail)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["used", "expired", "revoked", "wrong secret", "nonsense"])
def test_a_token_that_is_not_good_is_refused_alike(
    owner: Person, anonymous_api: APIClient, valkey: redis.Redis, change: str
) -> None:
    token = issue(owner)
    with tenant_scope(owner.tenant):
        if change == "used":
            join_node(token=token, name="first", engine="ollama", agent_version="1")
        elif change == "expired":
            JoinToken.objects.update(expires_at=timezone.now())
        elif change == "revoked":
            JoinToken.objects.update(revoked_at=timezone.now())
    if change == "wrong secret":
        token = token[:-2] + "zz"
    elif change == "nonsense":
        token = "hello"
    answer = anonymous_api.post(JOIN, {"token": token, "name": "gpu-2", "engine": "ollama"}, format="json")
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The join token is wrong, expired, revoked or used up."
    assert token not in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_tenant_joins_nodes_only_where_the_operator_allows_it(
    owner: Person, owner_api: APIClient, operator: Person, operator_api: APIClient, anonymous_api: APIClient
) -> None:
    early = issue(owner)
    where = f"/api/v1/tenants/{owner.tenant.id}"
    refused = operator_api.patch(where, {"may_join_nodes": False}, format="json")
    assert (refused.status_code, refused.json()["may_join_nodes"]) == (200, False)
    answer = owner_api.post(TOKENS, {}, format="json")
    assert answer.status_code == 403
    assert "operator" in answer.json()["detail"]
    body = {"token": early, "name": "gpu-1", "engine": "ollama"}
    assert anonymous_api.post(JOIN, body, format="json").status_code == 403, "also with a token from before"
    assert owner_api.patch("/api/v1/tenant", {"may_join_nodes": True}, format="json").status_code == 400
    issue(operator)  # whoever runs the installation always may
    assert operator_api.patch(where, {"may_join_nodes": True}, format="json").status_code == 200
    assert anonymous_api.post(JOIN, body, format="json").status_code == 201
    governed = AuditRecord.objects.filter(action="tenant.govern").order_by("seq")
    assert [record.detail for record in governed] == [
        {"before": {"may_join_nodes": True}, "may_join_nodes": False},
        {"before": {"may_join_nodes": False}, "may_join_nodes": True},
    ]


def test_a_new_tenant_joins_no_nodes(db: None) -> None:
    made = create_tenant(acting=SYSTEM, slug="new", name="New")
    assert not may_join_nodes(made.id)
    with pytest.raises(Forbidden, match="operator"):
        issue_join_token(acting=system("tests", made.id.hex), lifetime=datetime.timedelta(hours=1), max_uses=1)
    call_command("tenant", "nodes", "new", "allow")
    assert may_join_nodes(made.id)
    call_command("tenant", "nodes", "new", "refuse")
    assert not may_join_nodes(made.id)


@pytest.mark.django_db(transaction=True)
def test_a_taken_name_is_a_conflict_and_costs_no_use(
    owner: Person, stranger: Person, anonymous_api: APIClient, join: Join
) -> None:
    join(owner, "gpu-1")
    token = issue(owner)
    body = {"token": token, "name": "gpu-1", "engine": "llamacpp"}
    assert anonymous_api.post(JOIN, body, format="json").status_code == 409
    assert anonymous_api.post(JOIN, {**body, "name": "gpu-2"}, format="json").status_code == 201
    assert join(stranger, "gpu-1").node.tenant_id == stranger.tenant.id


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change", [{"name": ""}, {"name": "a b"}, {"name": "../x"}, {"engine": "magic"}, {"token": 5 * [1]}]
)
def test_a_bad_body_is_refused(owner: Person, anonymous_api: APIClient, change: dict[str, Any]) -> None:
    body = {"token": issue(owner), "name": "gpu-1", "engine": "ollama", **change}
    assert anonymous_api.post(JOIN, body, format="json").status_code == 400


@pytest.mark.django_db(transaction=True)
def test_the_last_use_goes_to_one_of_many_hosts(owner: Person, valkey: redis.Redis) -> None:
    token = issue(owner, max_uses=2)
    outcomes: list[str] = []

    def attempt(index: int) -> None:
        try:
            join_node(token=token, name=f"gpu-{index}", engine="ollama", agent_version="1")
            outcomes.append("joined")
        except OllamaMaxError as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["joined"] * 2 + ["unauthenticated"] * 4
    with every_tenant():
        assert (Node.objects.count(), JoinToken.objects.get().uses) == (2, 2)

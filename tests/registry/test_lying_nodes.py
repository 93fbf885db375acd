"""A node that lies in its state stops no loop of the control plane, and a good node beside it is served as if it were alone."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.node import remove_node
from cluster.dispatch.gateway_lease import Patience
from cluster.dispatch.settle_dead_gateways import settle_lost
from cluster.models import Node
from cluster.reconcile import observe_nodes
from models_registry.actions import external as external_models
from models_registry.actions import replica
from models_registry.actions.external import forget_unheld
from models_registry.actions.replica import reconcile_replicas
from models_registry.models import Channel, Model, Replica, Version
from ollamamax.bus import keys
from ollamamax.contract import ModelState, encode_json
from ollamamax.identity.scope import tenant_scope
from tests.cast import Person
from tests.cluster.conftest import Join, says
from tests.dispatch.test_settle_dead_gateways import opened, records
from tests.fakes.state import node_state
from tests.registry.conftest import Publish

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = {"version": "sha256:" + "a" * 64, "name": "evil:latest", "state": "present", "engine": "ollama", "size": 5}
ENGINE = {"kind": "ollama", "healthy": True}
LIES: dict[str, Any] = {
    "no text": b'{"node":"\xff"}',
    "nesting": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "time": {"at": 1e300},
    "NUL in a version": {"agent_version": "a\0b"},
    "a huge size": {"models": [MODEL | {"size": 10**30}]},
    "a negative size": {"models": [MODEL | {"size": -5}]},
    "NUL in a name": {"models": [MODEL | {"name": "a\0b"}]},
    "a long version": {"models": [MODEL | {"version": "x" * 5000}]},
    "NUL in an error": {"models": [MODEL, MODEL | {"error": "a\0b", "state": "failed"}]},
    "huge progress": {"models": [MODEL | {"bytes_done": 10**25}]},
    "huge numbers": {"capacity": 10**400, "running": 10**400, "models": [MODEL]},
    "another's": {"node": "0" * 32},
    "no list": {"models": {"a": "b"}},
    "surrogates": b'{"node":"\\ud800' + b"x" * 40 + b'"}',
    "megabytes": b" " * (3 << 20),
}


def lie(valkey: redis.Redis, node: str, told: Any) -> None:
    if not isinstance(told, bytes):
        good = json.loads(encode_json(node_state(node))) | {"engines": [ENGINE]}
        told = json.dumps(good | told).encode()
    valkey.set(keys.node_state(node), told, px=60_000)


def test_no_lie_stops_a_loop_or_takes_anything_from_a_good_node(
    owner: Person, stranger: Person, owner_api: APIClient, join: Join, publish: Publish, valkey: redis.Redis
) -> None:
    good, evil = join(owner), join(stranger, "evil", "ollama")
    version = publish(owner)
    for number, (what, told) in enumerate(LIES.items()):
        lie(valkey, evil.node.id.hex, told)
        state = ("fetching", "ready")[number % 2]
        says(valkey, good, ModelState(version.digest, "tiny:1b", state, "llamacpp", bytes_done=number))  # type: ignore[arg-type]
        assert observe_nodes() >= 1, what
        reconcile_replicas()
        with tenant_scope(owner.tenant):
            held = Replica.objects.get()
            assert (held.state, held.bytes_done) == (state, number), what
            assert Node.objects.get().last_seen_at is not None
        assert owner_api.get("/api/v1/nodes").json()["results"][0]["online"] is True


def test_ends_of_tickets_that_make_no_sense_leave_nobody_unsettled(valkey: redis.Redis) -> None:
    first, second = opened(valkey), opened(valkey)
    for fields in ({"x": "y"}, {"t": b"\xff", "r": b"{}"}, {"t": f"{first.request}.1", "r": b"[" * 100_000}):
        valkey.xadd(keys.node_done(first.node), fields)
    valkey.xadd(keys.node_done(first.node), {"t": f"{first.request}.1", "r": b'{"completion_tokens": -1}'})
    valkey.xadd(keys.node_done(second.node), {"t": f"{second.request}.1", "r": b'{"completion_tokens": 3}'})
    assert settle_lost(valkey, Patience(apart=0, lapsed=0, calm=0)) == 2
    assert {each["request"]: each["completion_tokens"] for each in records(valkey)} == {
        first.request: 0,
        second.request: 3,
    }


def test_keys_of_another_type_leave_nobody_unsettled(valkey: redis.Redis) -> None:
    first, second = opened(valkey), opened(valkey)
    for key in keys.node_keys(first.node):
        valkey.set(key, b"x")
    valkey.sadd(keys.node_state(first.node) + "x", b"x")
    valkey.xadd(keys.node_done(second.node), {"t": f"{second.request}.1", "r": b'{"completion_tokens": 3}'})
    assert settle_lost(valkey, Patience(apart=0, lapsed=0, calm=0)) >= 1
    assert second.request in {each["request"] for each in records(valkey)}


def external(*numbers: int) -> list[ModelState]:
    return [ModelState(f"sha256:{number:064x}", f"m{number}:latest", "present", "ollama") for number in numbers]


def test_a_node_gets_so_many_names_and_no_more_and_they_go_with_it(
    owner: Person,
    stranger: Person,
    stranger_api: APIClient,
    join: Join,
    publish: Publish,
    valkey: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replica, "MOST_NAMES", 5)
    monkeypatch.setattr(replica, "MOST_NEW_NAMES", 3)
    publish(owner)
    evil = join(stranger, "evil", "ollama")
    for first in range(0, 12, 3):
        # Others each time: rows would stay, though the node has three of them at once.
        says(valkey, evil, *external(*range(first, first + 3)))
        reconcile_replicas()
    with tenant_scope(stranger.tenant):
        assert (Version.objects.count(), Model.objects.count(), Channel.objects.count()) == (5, 5, 5)
    problem = stranger_api.get(f"/api/v1/nodes/{evil.node.id}").json()["problem"]
    assert "more than 5 models of its own" in problem
    remove_node(acting=stranger.acting, node_id=evil.node.id)
    monkeypatch.setattr(external_models, "NEW", datetime.timedelta(0))
    assert forget_unheld() == 5
    assert forget_unheld() == 0
    with tenant_scope(stranger.tenant):
        assert (Version.objects.count(), Model.objects.count(), Channel.objects.count()) == (0, 0, 0)
    assert not [field for field in valkey.hkeys(keys.directory("models")) if stranger.tenant.id.hex.encode() in field]
    with tenant_scope(owner.tenant):
        assert Version.objects.count() == 1


def test_a_node_is_asked_to_remove_so_many_versions_in_one_round(
    stranger: Person, join: Join, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MOST_REMOVALS", 2)
    asked: list[str] = []
    monkeypatch.setattr(replica, "_remove", lambda removal: asked.append(removal.digest))
    evil = join(stranger, "evil")
    invented = [f"sha256:{number:064x}" for number in range(5)]
    says(valkey, evil, *[ModelState(digest, "x:1b", "ready", "llamacpp") for digest in invented])
    for after in (2, 4, 5):
        reconcile_replicas()
        assert asked == invented[:after]

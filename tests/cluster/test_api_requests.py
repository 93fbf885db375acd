"""`/api/v1/queue` and `/api/v1/requests/{id}`: what waits, and why a request ran where it ran."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec
import pytest
import redis
from rest_framework.test import APIClient

from cluster.dispatch.script import Script, arguments
from ollamamax.bus import keys
from ollamamax.contract import encode_json
from ollamamax.kernel.ids import new_id
from ollamamax.metering.actions.usage import write_usage
from tests.cast import Person

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = "/api/v1/queue"
VERSION = "sha256:" + "ab" * 32
ROUTE = {
    "strategy": "balanced",
    "candidates": [
        {
            "node": new_id(),
            "node_name": "gpu-1",
            "reason": "loaded",
            "score": 0.8,
            "parts": {"loaded": 1.0, "room": 0.5},
        }
    ],
    "ruled_out": {"gpu-2": "draining"},
    "attempts": [{"node": new_id(), "node_name": "gpu-1", "reason": "loaded", "given_at": 1_700_000_000.0}],
    "waiting": 3,
}


def admit(valkey: redis.Redis, person: Person, node: str, *, number: int = 0) -> str:
    """A request as a gateway admits it: to the node's one slot, or to the queue."""
    request, gateway, now = new_id(), "9" * 32, time.time() + number / 1000
    valkey.set(keys.gateway_alive(gateway), b"1")
    valkey.set(keys.node_state(node), b'{"capacity":1}')
    opened = {
        "request": request,
        "gateway": gateway,
        "tenant": person.tenant.id.hex,
        "key": new_id(),
        "model": "echo:latest",
        "version": VERSION,
        "api": "/api/chat",
        "trace": "c" * 32,
        "received_at": now,
        "admitted_at": now,
    }
    named = {
        **{name: opened[name] for name in ("request", "gateway", "tenant", "key", "version")},
        "ticket": f"{request}.1",
        "open": encode_json(opened)[1:].decode(),
        "traceparent": "00",
        "nodes": [(node, "gpu-1", 1)],
        "age": 0.0,
        "score": 0.0,
        "left": 600.0,
        "cost": 10.0,
        "weight": 1.0,
        "counted": [],
        "limits": [],
        "idle": False,
        "most_waiting": 10,
        "most_waiting_of_tenant": 10,
    }
    Script("admit").run_sync(valkey, arguments(named, b"ticket"))
    return request


def settled(valkey: redis.Redis, person: Person, **changed: Any) -> str:
    record: dict[str, Any] = {
        "request": new_id(),
        "tenant": person.tenant.id.hex,
        "key": new_id(),
        "model": "echo:latest",
        "version": VERSION,
        "node": ROUTE["attempts"][0]["node"],  # type: ignore[index]
        "node_name": "gpu-1",
        "api": "/api/chat",
        "trace": "c" * 32,
        "received_at": time.time(),
        "prompt_tokens": 5,
        "completion_tokens": 9,
        "queue_ms": 12.5,
        "first_token_ms": 20.0,
        "duration_ms": 50.0,
        "outcome": "ok",
        "attempts": 1,
        "route": ROUTE,
        **changed,
    }
    data = msgspec.json.encode(record)
    valkey.xadd(keys.USAGE, {"r": data})
    valkey.xadd(keys.recent(person.tenant.id.hex), {"r": data})
    return str(record["request"])


def test_the_queue_tells_places_of_the_callers_own_requests(
    owner: Person, stranger: Person, viewer_api: APIClient, stranger_api: APIClient, valkey: redis.Redis
) -> None:
    node = new_id()
    admit(valkey, owner, node)
    waiting = [admit(valkey, owner, node, number=number) for number in (1, 2)]
    theirs = admit(valkey, stranger, node, number=3)
    answer = viewer_api.get(QUEUE).json()
    assert answer["waiting"] == 3
    assert [uuid.UUID(each["request"]).hex for each in answer["requests"]] == waiting
    # The stranger had nothing yet, and comes before whoever had a slot.
    assert [each["position"] for each in answer["requests"]] == [2, 3]
    assert answer["requests"][0]["expected_wait_ms"] is None
    assert answer["requests"][0]["nodes"] == ["gpu-1"]
    (share,) = answer["shares"]
    assert (share["tenant"], share["waiting"], share["running"], share["share"]) == (str(owner.tenant.id), 2, 1, 0.5)
    assert [uuid.UUID(each["request"]).hex for each in stranger_api.get(QUEUE).json()["requests"]] == [theirs]


@pytest.mark.parametrize("moved", [False, True])
def test_a_refused_request_tells_why_before_and_after_it_is_in_the_database(
    owner: Person, owner_api: APIClient, stranger_api: APIClient, valkey: redis.Redis, moved: bool
) -> None:
    """It is no request of the sums, and took no tokens."""
    refused = settled(
        valkey,
        owner,
        node="",
        node_name="",
        version="",
        model="",
        prompt_tokens=0,
        completion_tokens=0,
        queue_ms=None,
        first_token_ms=None,
        outcome="refused",
        error="invalid_request",
        status=400,
        attempts=0,
        user="u-7",
        metadata={"run": "7"},
        route=None,
    )
    if moved:
        assert write_usage() == 1
        assert not valkey.xlen(keys.USAGE_REFUSED)
        sums = owner_api.get("/api/v1/usage/totals").json()
        assert (sums["requests"], sums["refused"], sums["prompt_tokens"]) == (0, 1, 0)
    answer = owner_api.get(f"/api/v1/requests/{refused}").json()
    told = {
        name: answer[name] for name in ("state", "outcome", "error", "status", "node", "user", "metadata", "attempts")
    }
    assert told == {
        "state": "settled",
        "outcome": "refused",
        "error": "invalid_request",
        "status": 400,
        "node": None,
        "user": "u-7",
        "metadata": {"run": "7"},
        "attempts": 0,
    }
    assert stranger_api.get(f"/api/v1/requests/{refused}").status_code == 404


def test_an_empty_queue_is_empty(owner_api: APIClient, valkey: redis.Redis) -> None:
    answer = owner_api.get(QUEUE).json()
    assert (answer["waiting"], answer["requests"]) == (0, [])
    assert [(each["tenant_name"], each["share"]) for each in answer["shares"]] == [("Acme", 0.0)]


def test_a_request_is_told_in_every_state(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    node = new_id()
    running, waiting = admit(valkey, owner, node), admit(valkey, owner, node, number=1)
    answer = owner_api.get(f"/api/v1/requests/{running}").json()
    assert (answer["state"], answer["node_name"], answer["outcome"]) == ("running", "gpu-1", None)
    answer = owner_api.get(f"/api/v1/requests/{waiting}").json()
    assert (answer["state"], answer["position"], answer["node"]) == ("waiting", 1, None)
    ended = settled(valkey, owner)
    before = owner_api.get(f"/api/v1/requests/{ended}").json()
    write_usage()
    valkey.flushall()
    after = owner_api.get(f"/api/v1/requests/{ended}").json()
    for answer in (before, after):
        assert (answer["state"], answer["outcome"], answer["queue_ms"]) == ("settled", "ok", 12.5)
        assert answer["route"]["candidates"][0]["parts"] == {"loaded": 1.0, "room": 0.5}
        assert answer["route"]["attempts"][0]["node"] == answer["node"]
        assert answer["route"]["ruled_out"] == {"gpu-2": "draining"}
        assert answer["route"]["attempts"][0]["given_at"] == "2023-11-14T22:13:20Z"
        assert answer["route"]["waiting"] == 3


def test_one_that_left_the_queue_for_another_model_is_told(
    owner: Person, owner_api: APIClient, valkey: redis.Redis
) -> None:
    left = settled(
        valkey,
        owner,
        node="",
        node_name="",
        queue_ms=None,
        first_token_ms=None,
        duration_ms=3000.5,
        outcome="cancelled",
        error="no_capacity",
        prompt_tokens=0,
        completion_tokens=0,
        route={"strategy": "balanced", "waiting": 3},
    )
    before = owner_api.get(f"/api/v1/requests/{left}").json()
    write_usage()
    valkey.flushall()
    after = owner_api.get(f"/api/v1/requests/{left}").json()
    for answer in (before, after):
        assert (answer["state"], answer["outcome"], answer["error"]) == ("settled", "cancelled", "no_capacity")
        assert (answer["node"], answer["queue_ms"], answer["duration_ms"]) == (None, None, 3000.5)
        assert (answer["route"]["waiting"], "attempts" in answer["route"]) == (3, False)
    assert owner_api.get("/api/v1/usage").json()["results"][0]["node"] is None
    # What no node was given is not counted: the other model's record is the one that counts.
    assert owner_api.get("/api/v1/usage/totals").json()["requests"] == 0


def test_a_stranger_learns_nothing(
    owner: Person, stranger_api: APIClient, anonymous_api: APIClient, valkey: redis.Redis
) -> None:
    node = new_id()
    found = [admit(valkey, owner, node), admit(valkey, owner, node, number=1), settled(valkey, owner)]
    for request in [*found, new_id()]:
        assert stranger_api.get(f"/api/v1/requests/{request}").status_code == 404
        assert anonymous_api.get(f"/api/v1/requests/{request}").status_code == 401
    write_usage()
    assert stranger_api.get(f"/api/v1/requests/{found[-1]}").status_code == 404
    assert stranger_api.get(QUEUE).json()["requests"] == []
    assert anonymous_api.get(QUEUE).status_code == 401


def test_without_redis_the_answer_is_503(owner_api: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    from ollamamax.bus import regions

    nowhere = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=1)
    monkeypatch.setattr(regions.Region, "client", nowhere)
    assert owner_api.get(QUEUE).status_code == 503
    assert owner_api.get(f"/api/v1/requests/{new_id()}").status_code == 503

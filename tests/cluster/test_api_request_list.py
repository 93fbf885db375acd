"""`/api/v1/requests`: the list and its filters, what runs now, cancelling one, moving one in the queue."""

from __future__ import annotations

import datetime
import time
import uuid
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from ollamamax.audit.models import AuditRecord
from ollamamax.audit.personal import opened
from ollamamax.bus import keys
from ollamamax.contract import GatewayOrder, decode_gateway_order
from ollamamax.kernel.ids import new_id
from ollamamax.metering.actions.usage import write_usage
from tests.cast import Key, Person
from tests.cluster.test_api_requests import admit, settled

pytestmark = pytest.mark.django_db(transaction=True)
REQUESTS = "/api/v1/requests"
GATEWAY = "9" * 32
"""Of the requests that `admit` makes."""


class Heard:
    def __init__(self, client: redis.Redis) -> None:
        self._heard = client.pubsub(ignore_subscribe_messages=True)
        self._heard.subscribe(keys.gateway_orders(GATEWAY))
        self._heard.get_message(timeout=5)

    def next(self) -> GatewayOrder | None:
        """What the gateway was told and nobody has taken yet."""
        while (message := self._heard.get_message(timeout=0.2)) is not None:
            order = decode_gateway_order(message["data"])
            if order.verb != "describe":
                return order
        return None


@pytest.fixture
def gateway(valkey: redis.Redis) -> Heard:
    return Heard(valkey)


def ids(caller: APIClient, /, **query: Any) -> list[str]:
    answer = caller.get(REQUESTS, query)
    assert answer.status_code == 200, answer.json()
    return [uuid.UUID(each["request"]).hex for each in answer.json()["results"]]


def test_the_list_has_all_that_ended_the_newest_first_with_the_names_of_keys(
    owner: Person, owner_key: Key, viewer_api: APIClient, stranger_api: APIClient, valkey: redis.Redis
) -> None:
    now = time.time()
    made = [settled(valkey, owner, received_at=now - number, key=owner_key.row.id.hex) for number in range(3)]
    made.append(
        settled(valkey, owner, received_at=now - 9, outcome="refused", node="", node_name="", error="overloaded")
    )
    write_usage()
    assert ids(viewer_api) == made
    first = viewer_api.get(REQUESTS, {"limit": 2}).json()
    assert (len(first["results"]), first["results"][0]["key_name"]) == (2, owner_key.row.name)
    assert [uuid.UUID(each["request"]).hex for each in viewer_api.get(first["next"]).json()["results"]] == made[2:]
    assert ids(stranger_api) == []


def test_each_filter_finds_its_own(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    now, node, key = time.time(), new_id(), new_id()
    plain = settled(valkey, owner, received_at=now - 60)
    found = settled(
        valkey,
        owner,
        received_at=now,
        node=node,
        key=key,
        user="u-7",
        model="other:latest",
        api="/v1/messages",
        trace="d" * 32,
        duration_ms=5000.0,
        outcome="failed",
        error="engine_hung",
    )
    write_usage()
    moment = datetime.datetime.fromtimestamp(now - 30, datetime.UTC).isoformat()
    for query in (
        {"since": moment},
        {"outcome": "failed"},
        {"outcome": ["failed", "refused"]},
        {"error": "engine_hung"},
        {"node": node},
        {"key": key},
        {"user": "u-7"},
        {"model": "other:latest"},
        {"api": "/v1/messages"},
        {"trace": "d" * 32},
        {"slower_than_ms": 1000},
        {"id": found},
        {"id": str(uuid.UUID(found))[:36]},
        {"outcome": "failed", "user": "u-7", "id": found[:4]},
    ):
        assert ids(owner_api, **query) == [found], query
    assert ids(owner_api, until=moment) == [plain]
    assert ids(owner_api, id=found[:4]) == [found, plain]
    assert ids(owner_api, outcome="cancelled") == []
    for query in (
        {"outcome": "x"},
        {"id": "x"},
        {"id": "-"},
        {"id": "0" * 33},
        {"node": "x"},
        {"slower_than_ms": -1},
        {"trace": "x"},
        {"nome": "x"},
        {"since": "x"},
    ):
        answer = owner_api.get(REQUESTS, query)
        (field,) = answer.json()["fields"]
        assert (answer.status_code, field.partition(".")[0]) == (400, *query), query


def test_what_runs_now_is_listed_for_its_tenant(
    owner: Person, owner_api: APIClient, stranger_api: APIClient, anonymous_api: APIClient, valkey: redis.Redis
) -> None:
    running = admit(valkey, owner, new_id())
    (row,) = owner_api.get(f"{REQUESTS}/running").json()["results"]
    assert (row["request"], row["node_name"], row["key_name"]) == (str(uuid.UUID(running)), "gpu-1", "")
    assert stranger_api.get(f"{REQUESTS}/running").json()["results"] == []
    assert anonymous_api.get(f"{REQUESTS}/running").status_code == 401


@pytest.mark.parametrize("waits", [False, True])
def test_a_request_is_cancelled_by_who_may_and_the_trail_says_who(
    owner: Person,
    owner_api: APIClient,
    member_api: APIClient,
    viewer_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
    valkey: redis.Redis,
    gateway: Heard,
    waits: bool,
) -> None:
    node = new_id()
    request = admit(valkey, owner, node)
    if waits:
        request = admit(valkey, owner, node, number=1)
    address = f"{REQUESTS}/{request}/cancel"
    refusals = [(stranger_api, 404), (viewer_api, 403), (member_api, 403), (anonymous_api, 401)]
    assert [api.post(address).status_code for api, _ in refusals] == [status for _, status in refusals]
    assert owner_api.post(f"{REQUESTS}/{new_id()}/cancel").status_code == 404
    assert owner_api.post(f"{REQUESTS}/nonsense/cancel").status_code == 404
    assert gateway.next() is None
    assert owner_api.post(address).status_code == 202
    assert gateway.next() == GatewayOrder("cancel", request, by=owner.email)
    [noted] = opened(AuditRecord.objects.filter(action="request.cancel"))
    assert (noted.target_id, noted.actor_name, noted.detail["state"]) == (
        request,
        owner.email,
        "waiting" if waits else "running",
    )


def test_a_request_of_a_gateway_that_is_gone_says_so(owner: Person, owner_api: APIClient, valkey: redis.Redis) -> None:
    request = admit(valkey, owner, new_id())
    assert owner_api.post(f"{REQUESTS}/{request}/cancel").status_code == 503


def test_a_waiting_request_is_raised_and_lowered_among_its_own(
    owner: Person,
    owner_api: APIClient,
    viewer_api: APIClient,
    stranger_api: APIClient,
    valkey: redis.Redis,
    gateway: Heard,
) -> None:
    node = new_id()
    running = admit(valkey, owner, node)
    waiting = [admit(valkey, owner, node, number=number) for number in (1, 2)]
    last = f"{REQUESTS}/{waiting[1]}"

    def change(api: APIClient, address: str, priority: str) -> Any:
        return api.patch(address, {"priority": priority}, format="json")

    assert change(stranger_api, last, "high").status_code == 404
    assert change(viewer_api, last, "high").status_code == 403
    assert change(owner_api, last, "urgent").status_code == 400
    assert change(owner_api, f"{REQUESTS}/{running}", "high").status_code == 409
    answer = change(owner_api, last, "high")
    assert (answer.status_code, answer.json()["priority"], answer.json()["position"]) == (200, "high", 1)
    assert gateway.next() == GatewayOrder("prioritise", waiting[1], priority="high")
    queue = owner_api.get("/api/v1/queue").json()["requests"]
    assert [uuid.UUID(each["request"]).hex for each in queue] == waiting[::-1]
    assert change(owner_api, last, "low").json()["position"] == 2
    assert change(owner_api, last, "low").status_code == 200
    assert AuditRecord.objects.filter(action="request.prioritise").count() == 2


def test_the_operator_alone_sees_shares_of_others(
    owner: Person, operator: Person, operator_api: APIClient, owner_api: APIClient, valkey: redis.Redis
) -> None:
    node = new_id()
    admit(valkey, owner, node)
    admit(valkey, operator, node, number=1)
    shares = operator_api.get("/api/v1/queue").json()["shares"]
    assert [(each["tenant_name"], each["waiting"], each["running"]) for each in shares] == [
        ("Operators", 1, 0),
        ("Acme", 0, 1),
    ]
    assert [each["tenant_name"] for each in owner_api.get("/api/v1/queue").json()["shares"]] == ["Acme"]

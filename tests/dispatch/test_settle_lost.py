"""What a dead gateway left open is settled once, with what the node counted."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis

from cluster.dispatch.departed import LEASE_MS, Patience
from cluster.dispatch.lost import settle_lost
from ollamamax.bus import keys
from ollamamax.contract import OpenRequest, decode_control, encode_json
from ollamamax.kernel.ids import new_id

AT_ONCE = Patience(apart=0, lapsed=0, calm=0)


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as made:
        made.flushall()
        yield made


def opened(client: redis.Redis, **changes: Any) -> OpenRequest:
    now = time.time()
    request = OpenRequest(
        **{
            "request": new_id(),
            "gateway": new_id(),
            "tenant": new_id(),
            "key": new_id(),
            "model": "echo",
            "version": "sha256:" + "ab" * 32,
            "node": new_id(),
            "node_name": "gpu-1",
            "api": "/api/chat",
            "trace": "c" * 32,
            "received_at": now,
            "admitted_at": now,
            "given_at": now,
            **changes,
        }
    )
    client.sadd(keys.GATEWAYS, request.gateway)
    client.hset(keys.OPEN, request.request, encode_json(request))
    client.sadd(keys.node_slots(request.node), f"{request.request}.1")
    return request


def records(client: redis.Redis) -> list[dict[str, Any]]:
    return [msgspec.json.decode(fields[b"r"]) for _, fields in client.xrange(keys.USAGE)]


def test_requests_of_a_living_gateway_are_left_alone(client: redis.Redis) -> None:
    request = opened(client)
    client.set(keys.gateway_alive(request.gateway), b"1", px=LEASE_MS)
    assert settle_lost(client, AT_ONCE) == 0
    assert records(client) == []


def test_a_lost_request_is_settled_with_the_nodes_counts(client: redis.Redis) -> None:
    request = opened(client)
    done = {"t": f"{request.request}.1", "r": b'{"prompt_tokens": 4, "completion_tokens": 6, "outcome": "ok"}'}
    client.xadd(keys.node_done(request.node), done)
    assert settle_lost(client, AT_ONCE) == 1
    assert settle_lost(client, AT_ONCE) == 0
    (record,) = records(client)
    assert (record["outcome"], record["prompt_tokens"], record["completion_tokens"]) == ("gateway_lost", 4, 6)
    assert client.hlen(keys.OPEN) == 0
    assert client.scard(keys.node_slots(request.node)) == 0


def test_a_node_that_still_works_for_it_is_told_to_stop_first(client: redis.Redis) -> None:
    request = opened(client)
    client.set(keys.node_state(request.node), b"alive", px=4000)
    with client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(keys.node_control(request.node))
        heard.get_message(timeout=1)
        assert settle_lost(client, AT_ONCE) == 0
        message = heard.get_message(timeout=1)
    assert message is not None
    assert decode_control(message["data"]).verb == "cancel"
    assert client.hlen(keys.OPEN) == 1


def test_a_node_that_never_says_how_it_ended_is_not_waited_for_for_ever(client: redis.Redis) -> None:
    request = opened(client, given_at=time.time() - 100)
    client.set(keys.node_state(request.node), b"alive", px=4000)
    assert settle_lost(client, AT_ONCE) == 1
    assert records(client)[0]["completion_tokens"] == 0


def test_a_lost_request_on_a_dead_node_is_settled_at_once(client: redis.Redis) -> None:
    opened(client)
    assert settle_lost(client, AT_ONCE) == 1

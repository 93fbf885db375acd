"""What a dead gateway left open is settled once, with what the node counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import redis

from cluster.dispatch.gateway_lease import LEASE_MS, Patience
from cluster.dispatch.settle_dead_gateways import PATIENCE, settle_lost
from ollamamax.bus import keys
from ollamamax.contract import OpenRequest, decode_control, encode_json
from ollamamax.kernel.ids import new_id
from tests.dispatch.calls import Calls, account, admission

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
    assert client.llen(keys.ENDED) == 1
    assert client.hlen(keys.OPEN) == 0
    assert client.scard(keys.node_slots(request.node)) == 0


def test_the_record_of_a_lost_shadow_says_of_which_request_it_is_one(client: redis.Redis) -> None:
    request = opened(client, shadow_of=new_id(), idle_only=True)
    client.xadd(keys.node_done(request.node), {"t": f"{request.request}.1", "r": b'{"outcome": "ok"}'})
    assert settle_lost(client, AT_ONCE) == 1
    (record,) = records(client)
    assert (record["shadow_of"], record["idle_only"]) == (request.shadow_of, True)
    assert client.llen(keys.ENDED) == 0, "what nobody was answered is no sign of health"


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


def test_a_living_node_has_its_patience_from_when_it_was_given_the_request(client: redis.Redis) -> None:
    """Not from when the request was received, which may have waited for long before."""
    now = time.time()
    young = opened(
        client, given_at=now - PATIENCE / 2, received_at=now - 10 * PATIENCE, admitted_at=now - 10 * PATIENCE
    )
    client.set(keys.node_state(young.node), b"alive", px=4000)
    assert settle_lost(client, AT_ONCE) == 0
    assert client.hkeys(keys.OPEN) == [young.request.encode()]


def test_one_that_waited_for_its_next_attempt_keeps_its_record_and_frees_its_slot(client: redis.Redis) -> None:
    request = opened(client, attempt=1)
    waits(client, request, attempt=2)
    assert settle_lost(client, AT_ONCE) == 1
    (record,) = records(client)
    assert (record["request"], record["outcome"], record["node"]) == (request.request, "gateway_lost", request.node)
    assert_nothing_is_left(client, request)


def test_one_that_only_waited_leaves_a_record_without_a_node(client: redis.Redis) -> None:
    """A place in the queue is admission."""
    request = opened(client)
    client.delete(keys.OPEN, keys.node_slots(request.node))
    waits(client, request, attempt=1)
    settle_lost(client, AT_ONCE)
    settle_lost(client, AT_ONCE)
    (record,) = records(client)
    assert (record["request"], record["outcome"], record["node"]) == (request.request, "gateway_lost", "")
    assert (record["prompt_tokens"], record["completion_tokens"]) == (0, 0)
    assert_nothing_is_left(client, request)


class Meanwhile(redis.Redis):  # type: ignore[misc]  # redis-py leaves its bases untyped
    """After its first ``command`` is answered, something else happens in Redis."""

    command = ""
    happens: Callable[[], Any] | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        answer = super().execute_command(*args, **options)
        if args[0] == self.command and self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return answer


@pytest.mark.parametrize("command", ["ZRANGE", "HGETALL"])
def test_one_that_is_given_a_node_while_its_gateway_is_settled_is_settled_once(
    client: redis.Redis, command: str
) -> None:
    """The lease of a gateway that was killed stands for some seconds more, and others fill the nodes meanwhile."""
    request = opened(client)
    client.delete(keys.OPEN, keys.node_slots(request.node))
    full = waits(client, request, attempt=1)
    client.set(keys.gateway_alive(request.gateway), b"1", px=LEASE_MS - 2000)
    somebody = account(new_id(), request.tenant, full, room=1)
    with Meanwhile.from_url(os.environ["REDIS_URL"]) as settling:
        settling.command = command
        settling.happens = lambda: Calls(client)("settle", somebody, b"{}")
        settle_lost(settling, AT_ONCE)
        assert settling.happens is None
    client.delete(keys.node_state(full))
    settle_lost(client, AT_ONCE)
    (record,) = [each for each in records(client) if each]
    assert (record["request"], record["outcome"]) == (request.request, "gateway_lost")
    assert record["node"] == (full if command == "ZRANGE" else "")
    assert_nothing_is_left(client, request)
    assert not client.scard(keys.node_slots(full))
    assert not client.smembers(keys.GATEWAYS)


@pytest.mark.parametrize("attempt", [1, 2])
def test_one_whose_place_was_taken_while_no_controller_looked_leaves_its_record(
    client: redis.Redis, attempt: int
) -> None:
    """Nodes are filled all the same, and pass over whose gateway has no lease."""
    request = opened(client, attempt=1)
    if attempt == 1:
        client.delete(keys.OPEN, keys.node_slots(request.node))
    full = waits(client, request, attempt=attempt)
    Calls(client)("fill", {"nodes": [(full, 1)]})
    assert not client.zcard(keys.WAITING)
    settle_lost(client, AT_ONCE)
    settle_lost(client, AT_ONCE)
    (record,) = records(client)
    told = (record["request"], record["outcome"], record["node"])
    assert told == (request.request, "gateway_lost", "" if attempt == 1 else request.node)
    assert not client.exists(keys.ABANDONED)
    assert_nothing_is_left(client, request)


def test_one_whose_gateway_came_back_leaves_its_record_by_that(client: redis.Redis) -> None:
    request = opened(client)
    client.delete(keys.OPEN, keys.node_slots(request.node))
    Calls(client)("fill", {"nodes": [(waits(client, request, attempt=1), 1)]})
    client.set(keys.gateway_alive(request.gateway), b"1", px=LEASE_MS)
    settle_lost(client, Patience(calm=0))
    assert records(client) == []
    assert not client.exists(keys.ABANDONED)


def waits(client: redis.Redis, request: OpenRequest, *, attempt: int) -> str:
    """Its next attempt gets a place in the queue, for a node that is full. Returns that node."""
    unplaced = msgspec.structs.replace(request, attempt=attempt, node="", node_name="", given_at=0.0)
    client.set(keys.node_state(full := new_id()), b"alive", px=4000)
    named = admission(
        request.request,
        request.tenant,
        [(full, "full", 0)],
        ticket=f"{request.request}.{attempt}",
        gateway=request.gateway,
        key=request.key,
        open=encode_json(unplaced)[1:].decode(),
        counted=[request.tenant],
        most_bytes=1 << 20,
        most_bytes_of_tenant=1 << 20,
    )
    assert Calls(client)("admit", named, b"ticket")[0] == b"waits"
    return full


def assert_nothing_is_left(client: redis.Redis, request: OpenRequest) -> None:
    assert not client.hlen(keys.OPEN)
    assert not client.zcard(keys.WAITING)
    assert not client.scard(keys.node_slots(request.node))
    assert not client.scard(keys.active(request.tenant))
    assert not client.exists(keys.queue_entry(request.request))


def test_a_lost_request_on_a_dead_node_is_settled_at_once(client: redis.Redis) -> None:
    opened(client)
    assert settle_lost(client, AT_ONCE) == 1

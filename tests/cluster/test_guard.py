"""A node that takes more of Redis than it may is cut off, its owner told why, and let in again; the others notice nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis
from rest_framework.test import APIClient

from cluster import guard, membership
from cluster.actions.node import Joined, change_node, remove_node
from cluster.guard import guard_nodes
from cluster.reconcile import observe_nodes
from ollamamax.bus import keys
from ollamamax.contract import Fault, decode_cut, encode_json
from tests.cast import Person
from tests.cluster.conftest import Join, says

pytestmark = pytest.mark.django_db(transaction=True)

NODES = "/api/v1/nodes"


def connected(joined: Joined) -> redis.Redis:
    return redis.Redis.from_url(membership.redis_url(joined.node, joined.redis_password))


def problem(api: APIClient, joined: Joined) -> Any:
    return api.get(f"{NODES}/{joined.node.id}").json()["problem"]


def is_out(joined: Joined) -> bool:
    with connected(joined) as own:
        try:
            own.set(keys.node_state(joined.node.id.hex), b"x", px=1000)
        except redis.exceptions.RedisError:
            return True
    return False


HOGS: dict[str, Callable[[redis.Redis, str], Any]] = {
    "a huge state": lambda own, node: own.set(keys.node_state(node), b"x" * (20 << 20)),
    "many ends": lambda own, node: [own.xadd(keys.node_done(node), {"t": "x" * (2 << 20)}) for _ in range(10)],
    "many orders": lambda own, node: [own.hset(keys.node_orders(node), str(n), b"x" * (2 << 20)) for n in range(10)],
    "its queue": lambda own, node: [own.rpush(keys.node_queue(node), b"x" * (2 << 20)) for _ in range(10)],
    "its drain": lambda own, node: own.set(keys.node_drain(node), b"x" * (20 << 20)),
}


@pytest.mark.parametrize("hog", HOGS)
def test_a_node_that_fills_redis_is_cut_off_within_one_look(
    owner: Person, stranger: Person, owner_api: APIClient, join: Join, valkey: redis.Redis, hog: str
) -> None:
    evil, good = join(owner), join(stranger)
    says(valkey, good)
    assert guard_nodes(valkey) == 0
    with connected(evil) as own:
        HOGS[hog](own, evil.node.id.hex)
        assert guard_nodes(valkey) == 1
        with pytest.raises(redis.exceptions.RedisError):
            own.set(keys.node_state(evil.node.id.hex), b"x")
    assert valkey.exists(*keys.node_keys(evil.node.id.hex)) == 0
    assert "its keys in Redis take" in problem(owner_api, evil)
    assert is_out(evil)
    assert not is_out(good)


def test_it_stays_out_for_its_time_whatever_else_happens_and_longer_the_next_time(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    evil = join(owner)
    node = evil.node.id.hex
    for times, seconds in ((1, 60.0), (2, 120.0), (3, 240.0)):
        valkey.set(keys.node_state(node), b"x" * (20 << 20))
        assert guard_nodes(valkey) == 1
        cut = decode_cut(valkey.hget(keys.NODES_CUT, node) or b"")
        assert (cut.times, round(cut.until - cut.at)) == (times, seconds)
        observe_nodes()
        change_node(acting=owner.acting, node_id=evil.node.id, change={"schedulable": times % 2 == 0})
        assert is_out(evil), "what the control plane grants again, it grants to who is not cut off"
        valkey.hset(keys.NODES_CUT, node, encode_json(msgspec.structs.replace(cut, until=time.time() - 1)))
        assert guard_nodes(valkey) == 0
        assert not is_out(evil)
        valkey.delete(keys.node_state(node))
        assert problem(owner_api, evil) is None


def test_a_node_with_too_many_connections_is_cut_off(owner: Person, join: Join, valkey: redis.Redis) -> None:
    evil, good = join(owner), join(owner, "gpu-2")
    with connected(good) as other:
        other.set(keys.node_state(good.node.id.hex), b"x", px=1000)
        held = [connected(evil) for _ in range(guard.USUAL_CONNECTIONS * 12)]
        for each in held:
            each.set(keys.node_state(evil.node.id.hex), b"x", px=1000)
        assert guard_nodes(valkey) == 1
        assert other.set(keys.node_state(good.node.id.hex), b"x", px=1000)
    for each in held:
        each.close()
    assert "connections to Redis" in decode_cut(valkey.hget(keys.NODES_CUT, evil.node.id.hex) or b"").reason


def test_what_gateways_count_cuts_it_off_or_is_told_to_its_owner(
    owner: Person, owner_api: APIClient, stranger_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    evil = join(owner)
    node = evil.node.id.hex
    valkey.hset(keys.NODE_FAULTS, node, encode_json(Fault("nested too deeply", time.time())))
    assert guard_nodes(valkey) == 0
    assert problem(owner_api, evil) == "Not all that it says is taken: nested too deeply"
    assert stranger_api.get(f"{NODES}/{evil.node.id}").status_code == 404
    valkey.hset(keys.NODE_FAULTS, node, encode_json(Fault("more states than a node may send", time.time(), True)))
    assert guard_nodes(valkey) == 1
    assert "more states than a node may send" in problem(owner_api, evil)


def test_a_state_that_makes_no_sense_is_told_to_the_owner_and_hides_no_other(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    evil, good = join(owner, "evil"), join(owner, "good")
    says(valkey, good)
    valkey.set(keys.node_state(evil.node.id.hex), b'{"node":"\xff"}', px=4000)
    found = {node["name"]: node for node in owner_api.get(NODES).json()["results"]}
    assert (found["good"]["online"], found["good"]["problem"]) == (True, None)
    assert found["evil"]["online"] is False
    assert found["evil"]["problem"].startswith("Its state is ignored: ")


def test_a_state_that_would_never_lapse_lapses(owner: Person, join: Join, valkey: redis.Redis) -> None:
    evil = join(owner)
    for life in (None, 10**9):
        for key in (keys.node_state(evil.node.id.hex), keys.node_brief(evil.node.id.hex)):
            valkey.set(key, b"x", px=life)
            guard_nodes(valkey)
            assert 0 < valkey.pttl(key) <= guard.STATE_MILLISECONDS


def test_a_node_that_fills_redis_is_found_at_once_where_redis_grows_and_in_its_turn_where_it_does_not(
    owner: Person, join: Join, valkey: redis.Redis
) -> None:
    evil = join(owner)
    others = [join(owner, f"gpu-{number}") for number in range(2, 5)]
    turns = guard.MeasuringTurns()
    assert guard_nodes(valkey, turns=turns) == 0
    valkey.set(keys.node_state(evil.node.id.hex), b"x" * (20 << 20))
    assert guard_nodes(valkey, turns=turns) == 1
    # What others give back hides what one takes.
    valkey.set("ballast", b"x" * (20 << 20))
    guard_nodes(valkey, turns=turns)
    valkey.delete("ballast")
    valkey.set(keys.node_state(others[0].node.id.hex), b"x" * (20 << 20))
    assert sum(guard_nodes(valkey, turns=turns) for _ in range(guard.TURNS)) == 1


def test_all_nodes_have_a_turn_and_few_in_one_round() -> None:
    turns, nodes = guard.MeasuringTurns(), [str(number) for number in range(95)]
    assert turns.pick(nodes, 1 << 30) == nodes
    rounds = [turns.pick(nodes, 1 << 30) for _ in range(guard.TURNS)]
    assert sorted(itertools.chain.from_iterable(rounds), key=int) == nodes
    assert max(map(len, rounds)) == 10
    assert turns.pick(nodes, (1 << 30) + guard.MOST_BYTES) == nodes
    assert turns.pick(nodes, 1 << 29) != nodes
    assert turns.pick(nodes, (1 << 29) + guard.MOST_BYTES) == nodes, "it counts from the least that it has seen"


def test_nothing_of_a_removed_node_stays(owner: Person, join: Join, valkey: redis.Redis) -> None:
    evil = join(owner)
    node = evil.node.id.hex
    for key in (*keys.node_keys(node), keys.node_slots(node)):
        valkey.set(key, b"junk")
    valkey.hset(keys.NODE_FAULTS, node, encode_json(Fault("junk", time.time(), True)))
    guard_nodes(valkey)
    remove_node(acting=owner.acting, node_id=evil.node.id)
    assert [key for key in valkey.keys("*") if node.encode() in key] == []
    for table in (keys.NODE_FAULTS, keys.NODES_CUT, keys.NODE_RIGHTS, keys.directory("nodes")):
        assert not [field for field in valkey.hkeys(table) if node.encode() in field]

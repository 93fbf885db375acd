"""What a node's Redis user may do: its own keys and channels, and no command of the server."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from cluster.engines.build import EngineChoice
from ollamamax.bus import keys
from ollamamax.kernel.ids import new_id
from tests.patience import wait_for
from tests.worker.conftest import MakeNode, MakeStub
from tests.worker.node import Gateway, make_user

OTHER = new_id()


@pytest.fixture
def node() -> str:
    return new_id()


@pytest.fixture
def as_node(redis_url: str, admin: redis.Redis, node: str) -> redis.Redis:
    make_user(admin, node, "password")
    place = redis_url.partition("://")[2]
    return redis.Redis.from_url(f"redis://node.{node}:password@{place}")


FORBIDDEN: list[list[Any]] = [
    ["KEYS", "*"],
    ["SCAN", "0"],
    ["RANDOMKEY"],
    ["DBSIZE"],
    ["FLUSHALL"],
    ["FLUSHDB"],
    ["CONFIG", "GET", "*"],
    ["CONFIG", "SET", "maxmemory", "1"],
    ["ACL", "LIST"],
    ["ACL", "WHOAMI"],
    ["ACL", "SETUSER", "default", "nopass"],
    ["EVAL", "return 1", "0"],
    ["FUNCTION", "FLUSH"],
    ["SCRIPT", "FLUSH"],
    ["CLIENT", "LIST"],
    ["CLIENT", "KILL", "ID", "1"],
    ["MONITOR"],
    ["SHUTDOWN"],
    ["REPLICAOF", "NO", "ONE"],
    ["SAVE"],
    ["INFO"],
    ["PUBSUB", "CHANNELS"],
    ["PSUBSCRIBE", "omx:*"],
    ["SWAPDB", "0", "1"],
    *(["SELECT", str(database)] for database in range(1, 16)),
    ["HGETALL", keys.OPEN],
    ["HSET", keys.OPEN, "x", "y"],
    ["LRANGE", keys.OPEN, "0", "1"],
    ["XADD", keys.USAGE, "*", "r", "{}"],
    ["SET", keys.USAGE, "x"],
    ["GET", keys.directory("keys")],
    ["DEL", keys.directory("keys")],
    ["PUBLISH", keys.DIRECTORY_CHANNEL, "x"],
    ["SUBSCRIBE", keys.DIRECTORY_CHANNEL],
    ["SET", keys.node_state(OTHER), "x"],
    ["SET", keys.node_brief(OTHER), "x"],
    ["LRANGE", keys.node_inbox(OTHER), "0", "-1"],
    ["LPUSH", keys.node_queue(OTHER), "x"],
    ["LPUSH", "control", "x"],
    ["BRPOP", "control", "0.1"],
    ["PUBLISH", keys.node_state_channel(OTHER), "x"],
    ["PUBLISH", keys.node_control(OTHER), "x"],
    ["SUBSCRIBE", keys.node_control(OTHER)],
    ["PUBLISH", keys.tokens(OTHER, "gateway"), "x"],
    ["SADD", f"_kombu.binding.{keys.node_queue(OTHER)}", "x"],
    ["SADD", "_kombu.binding.control", "x"],
]


@pytest.mark.parametrize("command", FORBIDDEN, ids=lambda c: " ".join(c[:2]).replace(OTHER, "other"))
def test_it_may_not(as_node: redis.Redis, command: list[Any]) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_node.execute_command(*command)


def test_it_may_use_its_own(as_node: redis.Redis, admin: redis.Redis, node: str) -> None:
    as_node.set(keys.node_state(node), "x", px=1000)
    as_node.set(keys.node_brief(node), "x", px=1000)
    as_node.publish(keys.node_state_channel(node), "x")
    as_node.publish(keys.tokens(node, new_id()), "x")
    as_node.lpush(keys.node_queue(node), "x")
    admin.rpush(keys.node_inbox(node), "x")
    assert as_node.lrange(keys.node_inbox(node), 0, -1) == [b"x"]
    assert as_node.lmove(keys.node_inbox(node), keys.node_claimed(node)) == b"x"
    assert as_node.lrem(keys.node_claimed(node), 1, "x") == 1


def test_what_the_control_plane_owns_of_it_is_out_of_its_reach(as_node: redis.Redis, node: str) -> None:
    own = [
        keys.node_slots(node),
        keys.kept(node),
        keys.queue_node(node),
        f"omx:node:{node}:slots",
        f"omx:node:{node}:junk",
    ]
    for command in (["SET", "x"], ["RPUSH", "x"], ["XADD", "*", "a", "b"], ["HSET", "a", "b"], ["SADD", "x"]):
        for key in own:
            with pytest.raises(redis.exceptions.NoPermissionError):
                as_node.execute_command(command[0], key, *command[1:])


def test_it_removes_what_is_named_after_it_and_nothing_else(as_node: redis.Redis, node: str) -> None:
    assert as_node.delete(f"omx:node:{node}:junk", keys.node_state(node)) == 0
    for key in (keys.node_slots(node), keys.kept(node), keys.queue_node(node), keys.node_state(OTHER), keys.NODES_CUT):
        with pytest.raises(redis.exceptions.NoPermissionError):
            as_node.delete(key)


def test_it_may_put_nothing_where_its_tickets_lie(as_node: redis.Redis, node: str) -> None:
    for key in (keys.node_inbox(node), keys.node_claimed(node)):
        for command in (["SET", key, "x"], ["RPUSH", key, "x"], ["XADD", key, "*", "a", "b"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                as_node.execute_command(*command)
    for key in (keys.node_state(node), keys.node_done(node), keys.node_queue(node)):
        with pytest.raises(redis.exceptions.NoPermissionError):
            as_node.lmove(key, keys.node_inbox(node))
        with pytest.raises(redis.exceptions.NoPermissionError):
            as_node.lmove(keys.node_inbox(node), key)


def test_a_wrong_password_is_refused(admin: redis.Redis, redis_url: str, node: str) -> None:
    make_user(admin, node, "password")
    client = redis.Redis.from_url(f"redis://node.{node}:other@{redis_url.partition('://')[2]}")
    with pytest.raises(redis.exceptions.AuthenticationError):
        client.ping()


def test_a_running_node_asks_for_nothing_it_may_not(make_stub: MakeStub, make_node: MakeNode) -> None:
    node = make_node(EngineChoice("openai", make_stub().url))
    node.wait_ready()
    gateway = Gateway(node)
    gateway.wait(gateway.run())
    wait_for(lambda: node.redis.get(keys.node_drain(node.id)) is None, what="the lease's end")
    user = f"node.{node.id}"
    assert node.stop() == 0
    entries: Any = node.redis.acl_log()
    denied = [entry for entry in entries if entry["username"] == user and entry["reason"] != "auth"]
    assert denied == []

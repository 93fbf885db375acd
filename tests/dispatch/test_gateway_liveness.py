"""Who counts as dead, of those who seem to listen, and renew their lease, and do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cluster.dispatch.gateway_lease import LEASE_MS, Patience, departed, forget
from ollamamax.bus import keys
from ollamamax.embedded import valkey
from tests.servers import free_port

GATEWAY = "a" * 32
SECOND_LOOK = Patience(apart=0, calm=0)


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as made:
        made.flushall()
        made.sadd(keys.GATEWAYS, GATEWAY)
        yield made


@pytest.fixture
def listener(client: redis.Redis) -> Iterator[None]:
    with client.pubsub(ignore_subscribe_messages=True) as heard:
        heard.subscribe(keys.granted(GATEWAY))
        heard.get_message(timeout=1)
        yield


def renewed(client: redis.Redis, seconds_ago: float) -> None:
    client.set(keys.gateway_alive(GATEWAY), b"1", px=round(LEASE_MS - seconds_ago * 1000))


def test_who_has_not_renewed_its_lease_and_is_not_listening_is_dead_at_the_second_look(client: redis.Redis) -> None:
    renewed(client, 2.0)
    patience = Patience(calm=0)
    assert departed(client, patience) == set()
    assert departed(client, patience) == set()
    run = client.info("server")["run_id"]
    at = float(client.get(keys.gateway_missed(GATEWAY)).split()[1])
    client.set(keys.gateway_missed(GATEWAY), f"{run} {at - patience.apart}")
    assert departed(client, patience) == {GATEWAY}


def test_who_renewed_its_lease_lives_though_it_does_not_listen(client: redis.Redis) -> None:
    renewed(client, 1.0)
    assert departed(client, SECOND_LOOK) == set()
    assert not client.exists(keys.gateway_missed(GATEWAY))


@pytest.mark.usefixtures("listener")
def test_who_listens_lives_as_long_as_its_lease_and_a_little_longer(client: redis.Redis) -> None:
    renewed(client, 4.0)
    assert departed(client, SECOND_LOOK) == set()
    client.delete(keys.gateway_alive(GATEWAY))
    assert departed(client, SECOND_LOOK) == set()
    assert departed(client, Patience(apart=0, calm=0, lapsed=0)) == {GATEWAY}


@pytest.mark.usefixtures("listener")
def test_who_is_back_is_not_missed_any_more(client: redis.Redis) -> None:
    assert departed(client, SECOND_LOOK) == set()
    assert client.exists(keys.gateway_missed(GATEWAY))
    renewed(client, 0.0)
    assert departed(client, SECOND_LOOK) == set()
    assert not client.exists(keys.gateway_missed(GATEWAY))


def test_nobody_is_judged_when_redis_has_just_started(tmp_path: Path) -> None:
    server = valkey.TemporaryValkey(tmp_path, free_port())
    try:
        with redis.Redis.from_url(server.url) as client:
            client.sadd(keys.GATEWAYS, GATEWAY)
            assert departed(client, Patience(apart=0)) == set()
            assert departed(client, SECOND_LOOK) == {GATEWAY}
    finally:
        server.stop()


def test_what_another_server_missed_counts_for_nothing(client: redis.Redis) -> None:
    client.set(keys.gateway_missed(GATEWAY), "another-run 1000.0")
    assert departed(client, Patience(calm=0)) == set()
    assert departed(client, SECOND_LOOK) == {GATEWAY}


def test_of_the_forgotten_nothing_is_left(client: redis.Redis) -> None:
    assert departed(client, SECOND_LOOK) == {GATEWAY}
    forget(client, [GATEWAY])
    assert client.keys("omx:gw*") + client.keys(keys.GATEWAYS) == []
    assert departed(client, SECOND_LOOK) == set()


def test_what_was_noted_before_nobody_could_look_is_void(client: redis.Redis) -> None:
    """Redis stood still, and its clock went on: every lease has lapsed, and nobody could renew one."""
    patience = Patience(calm=0)
    run = client.info("server")["run_id"]
    assert departed(client, patience) == set()
    client.set(keys.gateway_missed(GATEWAY), f"{run} {client.time()[0] - 20}")
    client.delete(keys.GATEWAYS_LOOKED_AT)
    assert departed(client, patience) == set()
    assert departed(client, patience) == set()

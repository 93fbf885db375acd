"""The directory, from the publisher through a real Valkey into a reader's memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from ollamamax.bus import connect, keys
from ollamamax.bus.directory import Directory, publish, reconcile
from ollamamax.contract.tables import Table
from tests.patience import LONG, until


def decode(value: bytes) -> str:
    if value == b"broken":
        raise ValueError("broken")
    return value.decode()


KEYS, MODELS = (Table(name, str.encode, decode) for name in ("keys", "models"))


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    made = connect.connect(redis_url)
    made.flushall()
    for table in ("keys", "models"):
        reconcile(made, table, dict)
    yield made
    made.close()


@pytest.fixture
async def directory(redis_url: str, client: redis.Redis) -> AsyncIterator[Directory]:
    made = Directory(redis_url, [KEYS, MODELS])
    await made.start()
    await asyncio.wait_for(made.wait_loaded(), LONG)
    yield made
    await made.stop()


def lose_subscriptions(client: redis.Redis) -> None:
    assert client.client_kill_filter(_type="pubsub")


async def test_a_change_reaches_a_reader_at_once(client: redis.Redis, directory: Directory) -> None:
    publish(client, "keys", {"a": b"1", "b": b"2"})
    await until(lambda: dict(directory.items(KEYS)) == {"a": "1", "b": "2"}, 0.5)
    publish(client, "keys", {"a": None, "b": b"3"})
    await until(lambda: dict(directory.items(KEYS)) == {"b": "3"}, 0.5)
    assert directory.get(KEYS, "a") is None


async def test_who_misses_what_was_published_just_now_can_wait_for_it(
    client: redis.Redis, directory: Directory
) -> None:
    for number in range(50):
        publish(client, "keys", {f"{number}": b"1"})
        assert directory.get(KEYS, f"{number}") is None
        await asyncio.wait_for(directory.catch_up(), LONG)
        assert directory.get(KEYS, f"{number}") == "1"


async def test_many_who_miss_something_at_once_ask_redis_together(client: redis.Redis, directory: Directory) -> None:
    def asked() -> int:
        return int(client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"])

    before = asked()
    await asyncio.gather(*(directory.catch_up() for _ in range(200)))
    assert 1 <= asked() - before <= 4


async def test_who_waits_for_what_does_not_come_goes_on(client: redis.Redis, directory: Directory) -> None:
    client.incr(keys.DIRECTORY_VERSION)  # a change whose message was lost
    start = time.monotonic()
    await directory.catch_up()
    lost = time.monotonic() - start
    client.client_pause(3500)
    start = time.monotonic()
    await directory.catch_up()
    away = time.monotonic() - start
    assert max(lost, away) < 3


async def test_a_reader_that_starts_later_finds_everything(redis_url: str, client: redis.Redis) -> None:
    publish(client, "models", {f"m{i}": b"x" for i in range(1200)})
    late = Directory(redis_url, [MODELS])
    await late.start()
    await asyncio.wait_for(late.wait_loaded(), LONG)
    assert len(late.items(MODELS)) == 1200
    await late.stop()


async def test_those_who_asked_are_told_which_fields_changed(client: redis.Redis, directory: Directory) -> None:
    told: list[tuple[str, frozenset[str]]] = []
    directory.on_change(lambda table, fields: told.append((table, fields)))
    publish(client, "models", {"a": b"1", "b": None})
    await until(lambda: told == [("models", frozenset({"a", "b"}))])


async def test_a_listener_that_fails_and_a_message_that_is_none_stop_nothing(
    client: redis.Redis, directory: Directory
) -> None:
    directory.on_change(lambda table, fields: 1 / 0)  # type: ignore[arg-type]
    client.publish(keys.DIRECTORY_CHANNEL, b"nonsense")
    publish(client, "keys", {"a": b"1"})
    await until(lambda: directory.get(KEYS, "a"))


async def test_changes_of_tables_that_nobody_asked_for_do_no_harm(client: redis.Redis, directory: Directory) -> None:
    publish(client, "other", {"a": b"1"})
    publish(client, "keys", {"a": b"1"})
    await until(lambda: directory.get(KEYS, "a") == "1", 0.5)


async def test_a_value_that_cannot_be_read_is_left_out_alone(client: redis.Redis, directory: Directory) -> None:
    publish(client, "keys", {"a": b"1"})
    publish(client, "keys", {"a": b"broken", "b": b"2"})
    await until(lambda: dict(directory.items(KEYS)) == {"b": "2"})


async def test_what_was_missed_while_the_connection_was_lost_is_there_after(
    client: redis.Redis, directory: Directory
) -> None:
    publish(client, "keys", {"a": b"1", "b": b"1"})
    await until(lambda: directory.get(KEYS, "a"))
    lose_subscriptions(client)
    publish(client, "keys", {"a": None, "c": b"3"})
    assert await until(lambda: dict(directory.items(KEYS)) == {"b": "1", "c": "3"}) < 1.0


async def test_a_gap_in_the_numbers_makes_a_reader_load_again(client: redis.Redis, directory: Directory) -> None:
    publish(client, "keys", {"a": b"1"})
    await until(lambda: directory.get(KEYS, "a"))
    # As if a message had been lost: the change is in the table, numbered, and was not told.
    client.hset(keys.directory("keys"), "b", "2")
    client.hdel(keys.directory("keys"), "a")
    client.incr(keys.DIRECTORY_VERSION)
    publish(client, "keys", {"c": b"3"})
    await until(lambda: dict(directory.items(KEYS)) == {"b": "2", "c": "3"})


async def test_a_lost_message_is_noticed_within_seconds_when_nothing_follows_it(
    client: redis.Redis, directory: Directory
) -> None:
    reconcile(client, "keys", lambda: {"a": b"1"})
    await until(lambda: directory.get(KEYS, "a"))
    client.hdel(keys.directory("keys"), "a")
    client.incr(keys.DIRECTORY_VERSION)
    await until(lambda: directory.get(KEYS, "a") is None, 7)


async def test_an_old_message_is_ignored(client: redis.Redis, directory: Directory) -> None:
    heard = client.pubsub()
    heard.subscribe(keys.DIRECTORY_CHANNEL)
    publish(client, "keys", {"a": b"1"})
    message = None
    while message is None or message["type"] != "message":
        message = heard.get_message(timeout=1)
    publish(client, "keys", {"a": None})
    client.publish(keys.DIRECTORY_CHANNEL, message["data"])
    publish(client, "keys", {"b": b"1"})
    await until(lambda: directory.get(KEYS, "b"))
    assert directory.get(KEYS, "a") is None
    heard.close()


async def test_single_changes_count_before_a_table_was_ever_published_whole(
    client: redis.Redis, directory: Directory
) -> None:
    client.flushall()
    publish(client, "keys", {"a": b"1", "b": b"2"})
    publish(client, "keys", {"a": None})
    await until(lambda: dict(directory.items(KEYS)) == {"b": "2"})


async def test_the_last_copy_stays_when_redis_forgets_until_the_loop_has_repaired_it(
    client: redis.Redis, directory: Directory
) -> None:
    reconcile(client, "keys", lambda: {"a": b"1", "b": b"2", "c": b"3"})
    await until(lambda: len(directory.items(KEYS)) == 3)
    client.flushall()
    publish(client, "keys", {"b": None, "d": b"4"})
    await until(lambda: directory.get(KEYS, "d"))
    assert dict(directory.items(KEYS)) == {"a": "1", "c": "3", "d": "4"}
    reconcile(client, "keys", lambda: {"a": b"1", "d": b"4"})
    await until(lambda: dict(directory.items(KEYS)) == {"a": "1", "d": "4"})


async def test_a_table_of_which_nothing_is_left_is_published_too(client: redis.Redis, directory: Directory) -> None:
    reconcile(client, "keys", lambda: {"a": b"1"})
    await until(lambda: directory.get(KEYS, "a"))
    client.flushall()
    assert reconcile(client, "keys", dict) == 0
    await until(lambda: not directory.items(KEYS))


def test_reconcile_publishes_differences_only(client: redis.Redis) -> None:
    desired = {f"k{i}": b"x" for i in range(1100)}
    assert reconcile(client, "keys", lambda: desired) == 1100
    before = client.get(keys.DIRECTORY_VERSION)
    assert reconcile(client, "keys", lambda: desired) == 0
    assert client.get(keys.DIRECTORY_VERSION) == before
    publish(client, "keys", {"k1": b"y", "k2": None, "stray": b"z"})
    assert reconcile(client, "keys", lambda: desired) == 3


def test_reconcile_does_not_bring_back_what_was_revoked_while_it_read(client: redis.Redis) -> None:
    reconcile(client, "keys", lambda: {"a": b"1"})
    truth = {"a": b"1", "b": b"2"}

    def read_then_revoke() -> dict[str, bytes]:
        seen = dict(truth)
        if "a" in truth:
            del truth["a"]
            publish(client, "keys", {"a": None})
        return seen

    reconcile(client, "keys", read_then_revoke)
    assert client.hget(keys.directory("keys"), "a") is None
    assert client.hget(keys.directory("keys"), "b") == b"2"


def test_reconcile_gives_up_for_this_round_when_others_never_stop(client: redis.Redis) -> None:
    def busy() -> dict[str, bytes]:
        publish(client, "keys", {"other": b"1"})
        return {"a": b"1"}

    assert reconcile(client, "keys", busy) == 0

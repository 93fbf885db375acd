"""Usage records go from Redis to Postgres, each exactly once."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest
import redis
from django.db import OperationalError, connection
from pytest_django import DjangoAssertNumQueries
from pytest_django.plugin import DjangoDbBlocker

from ollamamax.bus import keys
from ollamamax.contract import Route
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.ids import new_id
from ollamamax.metering.actions import usage as actions
from ollamamax.metering.models import RequestRoute, UsageRecord
from tests.metering.records import wire, written

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as made:
        made.flushall()
        yield made


@pytest.fixture
def paying(db: None) -> Tenant:
    return Tenant.objects.create(slug="paying", name="Paying")


def append(client: redis.Redis, *records: bytes) -> None:
    with client.pipeline(transaction=False) as pipe:
        for record in records:
            pipe.xadd(keys.USAGE, {"r": record})
        pipe.execute()


def count() -> int:
    with every_tenant():
        return UsageRecord.objects.count()


def at_once(writers: int) -> None:
    failures: list[BaseException] = []

    def write() -> None:
        try:
            actions.write_usage()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_waits_is_written_and_taken_away(client: redis.Redis, paying: Tenant) -> None:
    for _ in range(3):
        client.xadd(keys.USAGE, {"r": wire(paying)})
    assert actions.write_usage() == 3
    assert count() == 3
    assert client.xlen(keys.USAGE) == 0
    with every_tenant():
        row = UsageRecord.objects.first()
    assert row is not None
    assert (row.tenant_id, row.prompt_tokens, row.completion_tokens, row.first_token_ms) == (paying.id, 5, 9, None)


def test_the_same_request_twice_is_one_row(client: redis.Redis, paying: Tenant) -> None:
    request = new_id()
    for tokens in (9, 99):
        client.xadd(keys.USAGE, {"r": wire(paying, request=request, completion_tokens=tokens)})
    actions.write_usage()
    client.xadd(keys.USAGE, {"r": wire(paying, request=request, completion_tokens=999)})
    actions.write_usage()
    with every_tenant():
        assert UsageRecord.objects.get().completion_tokens == 9


def test_a_writer_killed_between_insert_and_delete_leaves_nothing_double(
    client: redis.Redis, paying: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(10):
        client.xadd(keys.USAGE, {"r": wire(paying)})

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(redis.Redis, "xdel", die)
        with pytest.raises(Killed):
            actions.write_usage()
    assert (count(), client.xlen(keys.USAGE)) == (10, 10)
    actions.write_usage()
    assert (count(), client.xlen(keys.USAGE)) == (10, 0)


def test_two_writers_at_once_write_each_record_once(client: redis.Redis, paying: Tenant) -> None:
    append(client, *(wire(paying) for _ in range(2500)))
    at_once(3)
    assert (count(), client.xlen(keys.USAGE)) == (2500, 0)


def test_with_postgres_away_the_records_wait(
    client: redis.Redis, paying: Tenant, django_db_blocker: DjangoDbBlocker
) -> None:
    for _ in range(3):
        client.xadd(keys.USAGE, {"r": wire(paying)})
    name = connection.settings_dict["NAME"]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            with pytest.raises(OperationalError):
                actions.write_usage()
            assert client.xlen(keys.USAGE) == 3
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    connection.close()
    assert actions.write_usage() == 3
    assert count() == 3


def test_a_record_that_postgres_refuses_is_put_aside_and_the_others_are_kept(
    client: redis.Redis, paying: Tenant
) -> None:
    client.xadd(keys.USAGE, {"r": wire(paying)})
    client.xadd(keys.USAGE, {"r": wire(Tenant(slug="gone"))})
    client.xadd(keys.USAGE, {"r": b"{"})
    client.xadd(keys.USAGE, {"r": wire(paying)})
    actions.write_usage()
    assert count() == 2
    assert client.xlen(keys.USAGE) == 0
    assert client.xlen(keys.USAGE_REFUSED) == 2


def test_every_field_of_a_record_is_kept(client: redis.Redis, paying: Tenant) -> None:
    route = Route(strategy="balanced", ruled_out={"gpu-2": "drained"}, waiting=3)
    said = msgspec.json.decode(
        wire(
            paying, model="Größe 😀 \\ \"'%s", received_at=1700000000.123456, first_token_ms=2.5, outcome="failed",
            error="engine_hung", attempts=2, priority="low", user="ann", cost=0.25, currency="EUR", status=502,
            metadata={"run": "7"}, cached_tokens=4, route=route, slot_seconds=2.5, prompt_kept=True,
            shadow_of=new_id(), same_answer=False,
        )
    )  # fmt: skip
    client.xadd(keys.USAGE, {"r": msgspec.json.encode(said)})
    actions.write_usage()
    with every_tenant():
        row: dict[str, Any] = {**UsageRecord.objects.values().get(), "route": RequestRoute.objects.get().route}
    # What it is charged is said by nobody, and seconds are kept where a price asks for them: see `test_charges`.
    assert [row.pop(name) for name in ("charge", "charge_currency", "price", "slot_seconds")] == [None, "", None, None]
    del said["slot_seconds"]
    assert set(said) == {"tenant" if name == "tenant_id" else name for name in row}
    times = {"received_at": row.pop("received_at").timestamp(), "tenant": row.pop("tenant_id")}
    assert {name: v.hex if isinstance(v, uuid.UUID) else v for name, v in {**row, **times}.items()} == said


def test_no_prompt_has_more_cached_tokens_than_tokens_and_none_is_not_zero(client: redis.Redis, paying: Tenant) -> None:
    assert written(paying, prompt_tokens=5, cached_tokens=9).cached_tokens == 5
    assert written(paying, prompt_tokens=5, cached_tokens=0).cached_tokens == 0
    assert written(paying, prompt_tokens=5).cached_tokens is None


def test_fields_of_a_later_version_are_ignored(client: redis.Redis, paying: Tenant) -> None:
    later = {**msgspec.json.decode(wire(paying)), "tenant_id": "x", "colour": {"of": ["anything"]}, "received": None}
    client.xadd(keys.USAGE, {"r": msgspec.json.encode(later), "another": b"field"})
    actions.write_usage()
    assert (count(), client.xlen(keys.USAGE_REFUSED)) == (1, 0)


BAD: dict[str, dict[str, Any] | bytes] = {
    "a UUID that is none": {"request": "x"},
    "a time that is none": {"received_at": "yesterday"},
    "a time beyond all calendars": {"received_at": 1e300},
    "a count that is none": {"prompt_tokens": "many"},
    "a count below zero": {"completion_tokens": -1},
    "a count of cached tokens below zero": {"cached_tokens": -1},
    "a count too large": {"completion_tokens": 2**63},
    "a name too long": {"model": "m" * 401},
    "a NUL": {"model": "a\0b"},
    "a NUL further in": {"route": {"strategy": "\0"}},
    "an outcome unknown": {"outcome": "great"},
    "a field that is null": {"model": None},
    "half a surrogate pair": b'"model":"\\ud800"',
    "bytes that are no UTF-8": b'"model":"\xff"',
    "a NUL as it is": b'"model":"\0"',
    "two records": b'"model":"m"},{"model":"n"',
    "what separates records": b'"model":"m"}\x1e{"model":"n"',
}


@pytest.mark.parametrize("what", BAD)
def test_one_bad_record_among_500_is_put_aside_as_it_came(client: redis.Redis, paying: Tenant, what: str) -> None:
    good, change = [wire(paying) for _ in range(499)], BAD[what]
    if isinstance(change, dict):
        bad = msgspec.json.encode({**msgspec.json.decode(wire(paying)), **change})
    else:
        bad = wire(paying).replace(b'"model":"echo:latest"', change)
    append(client, *good[:333], bad, *good[333:])
    assert actions.write_usage() == 500
    assert (count(), client.xlen(keys.USAGE)) == (499, 0)
    assert [fields for _, fields in client.xrange(keys.USAGE_REFUSED)] == [{b"r": bad}]


@pytest.mark.parametrize(
    "fields", [{b"r": b""}, {b"r": b"7"}, {b"r": b"null"}, {b"r": b"[]"}, {b"r": b"{}"}, {b"x": b"{}"}]
)
def test_what_is_no_record_at_all_is_put_aside(client: redis.Redis, paying: Tenant, fields: dict[bytes, bytes]) -> None:
    client.xadd(keys.USAGE, fields)
    client.xadd(keys.USAGE, {"r": wire(paying)})
    actions.write_usage()
    assert (count(), client.xlen(keys.USAGE)) == (1, 0)
    assert [fields for _, fields in client.xrange(keys.USAGE_REFUSED)] == [fields]


def test_a_batch_with_a_bad_record_written_by_two_at_once_is_kept_once(client: redis.Redis, paying: Tenant) -> None:
    append(client, *(wire(paying) for _ in range(300)))
    client.xadd(keys.USAGE, {"r": b"{"})
    at_once(3)
    assert (count(), client.xlen(keys.USAGE)) == (300, 0)
    assert client.xlen(keys.USAGE_REFUSED) >= 1


def test_a_tick_asks_redis_once_when_nothing_waits(client: redis.Redis) -> None:
    asked = client.info("commandstats").get("cmdstat_xrange", {"calls": 0})["calls"]
    assert actions.write_usage() == 0
    assert client.info("commandstats")["cmdstat_xrange"]["calls"] == asked + 1


def test_more_than_one_batch_is_written(
    client: redis.Redis, paying: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    append(client, *(wire(paying) for _ in range(actions.BATCH + 1)))
    with django_assert_num_queries(6):  # twice begin, insert, commit
        actions.write_usage()
    assert (count(), client.xlen(keys.USAGE)) == (actions.BATCH + 1, 0)

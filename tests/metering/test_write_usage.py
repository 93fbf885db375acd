"""Usage records go from Redis to Postgres, each exactly once."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import redis
from django.db import OperationalError, connection
from pytest_django.plugin import DjangoDbBlocker

from cluster.wire import UsageRecord as Wire
from cluster.wire import encode_json
from ollamamax.bus import keys
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.ids import new_id
from ollamamax.metering import actions
from ollamamax.metering.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as made:
        made.flushall()
        yield made


@pytest.fixture
def paying(db: None) -> Tenant:
    return Tenant.objects.create(slug="paying", name="Paying")


def wire(tenant: Tenant, **changes: Any) -> bytes:
    record: dict[str, Any] = {
        "request": new_id(),
        "tenant": tenant.id.hex,
        "key": new_id(),
        "model": "echo:latest",
        "version": "sha256:" + "ab" * 32,
        "node": new_id(),
        "node_name": "gpu-1",
        "api": "/api/chat",
        "trace": "c" * 32,
        "received_at": time.time(),
        "prompt_tokens": 5,
        "completion_tokens": 9,
        "queue_ms": 1.0,
        "first_token_ms": None,
        "duration_ms": 20.0,
        "outcome": "ok",
    }
    return encode_json(Wire(**{**record, **changes}))


def count() -> int:
    with every_tenant():
        return UsageRecord.objects.count()


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
    for _ in range(1200):
        client.xadd(keys.USAGE, {"r": wire(paying)})
    failures: list[BaseException] = []

    def write() -> None:
        try:
            actions.write_usage()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (count(), client.xlen(keys.USAGE)) == (1200, 0)


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

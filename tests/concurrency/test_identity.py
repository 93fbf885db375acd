"""Identity and the audit trail under writers in parallel, each with a connection of its own."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from django.db import connection, transaction

from ollamamax.audit.actions import record
from ollamamax.audit.models import AuditRecord
from ollamamax.audit.verify import verify
from ollamamax.bus import directory as bus_directory
from ollamamax.bus import publication, regions
from ollamamax.bus.directory import Directory
from ollamamax.contract.tables import KEYS, Table
from ollamamax.identity import directory
from ollamamax.identity.actions.bootstrap import bootstrap_installation
from ollamamax.identity.actions.key import change_key, issue_key, revoke_key
from ollamamax.identity.actions.tenant import make_operator
from ollamamax.identity.actions.user import create_user
from ollamamax.identity.models import ApiKey, Membership, Tenant, User
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Conflict
from ollamamax.kernel.limits import Limits
from ollamamax.kernel.principal import system
from tests.cast import PASSWORD, SYSTEM, Key, Person, make_key, make_tenant
from tests.patience import LONG

pytestmark = pytest.mark.django_db(transaction=True)


def in_parallel(*acts: Callable[[], Any]) -> list[Any]:
    """The result or error of each, all begun at the same moment."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            barrier.wait(LONG)
            return act()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_parallel_writers_make_one_whole_chain_each() -> None:
    tenants = [uuid.UUID(int=1), uuid.UUID(int=2)]

    def writer(number: int) -> Callable[[], None]:
        def write() -> None:
            for i in range(15):
                with transaction.atomic():
                    record(
                        acting=system(f"writer {number}"), action="thing.make", target_type="thing",
                        target_id=str(i), tenant=tenants[number % 2], detail={},
                    )  # fmt: skip

        return write

    assert in_parallel(*(writer(n) for n in range(6))) == [None] * 6
    assert list(verify()) == []
    for tenant in tenants:
        numbers = AuditRecord.objects.filter(chain=tenant.hex).order_by("seq").values_list("seq", flat=True)
        assert list(numbers) == list(range(1, 46))


def test_writers_that_fail_leave_no_hole() -> None:
    def write(fails: bool) -> Callable[[], None]:
        def act() -> None:
            for _ in range(10):
                with transaction.atomic():
                    record(acting=SYSTEM, action="x", target_type="x", target_id="x", tenant=None)
                    transaction.set_rollback(fails)

        return act

    in_parallel(*(write(n % 2 == 0) for n in range(4)))
    assert AuditRecord.objects.count() == 20
    assert list(verify()) == []


def test_verifying_while_others_write_finds_nothing_wrong() -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with transaction.atomic():
                record(acting=SYSTEM, action="x", target_type="x", target_id="x", tenant=None)

    def check() -> list[Any]:
        try:
            return [problem for _ in range(20) for problem in verify()]
        finally:
            stop.set()

    assert in_parallel(check, write)[0] == []


def test_a_key_revoked_by_many_at_once_is_revoked_once(valkey: redis.Redis, owner: Person, owner_key: Key) -> None:
    results = in_parallel(*[lambda: revoke_key(acting=owner.acting, key_id=owner_key.row.id)] * 4)
    assert len({key.revoked_at for key in results}) == 1
    assert AuditRecord.objects.filter(action="key.revoke").count() == 1
    assert not valkey.hexists("omx:dir:keys", owner_key.row.identifier)


def test_keys_issued_and_revoked_in_parallel_leave_the_directory_as_postgres_says(
    valkey: redis.Redis, owner: Person
) -> None:
    def act() -> None:
        for i in range(5):
            key, _ = issue_key(acting=owner.acting, name=f"k{i} {threading.get_ident()}")
            if i % 2:
                revoke_key(acting=owner.acting, key_id=key.id)

    stop = threading.Event()

    def repair() -> None:
        while not stop.is_set():
            publication.repair(regions.own(), KEYS.name)

    def acts() -> None:
        try:
            in_parallel(*[act] * 4)
        finally:
            stop.set()

    results = in_parallel(acts, repair)
    assert results == [None, None]
    held = {name.decode(): value for name, value in valkey.hgetall("omx:dir:keys").items() if name}
    assert held == {name: KEYS.encode(entry) for name, entry in directory.known_keys().items()}
    assert len(held) == 12
    assert list(verify()) == []


def test_two_users_with_one_address_are_never_made(db: None) -> None:
    results = in_parallel(
        *[lambda: create_user(acting=SYSTEM, email="same@acme.example", password=PASSWORD)] * 2,
        *[lambda: create_user(acting=SYSTEM, email="SAME@acme.example", password=PASSWORD)] * 2,
    )
    assert Counter(type(r) for r in results) == {User: 1, Conflict: 3}
    assert AuditRecord.objects.filter(action="user.create").count() == 1


def test_two_first_starts_at_once_make_one_installation() -> None:
    def start() -> Any:
        return bootstrap_installation(acting=SYSTEM, email="admin@localhost.example", password=PASSWORD)

    results = in_parallel(start, start)
    # One may be told that the other was quicker; the next start finds everything there.
    assert all(isinstance(r, tuple | Conflict) for r in results), results
    start()
    with every_tenant():
        assert (Tenant.objects.count(), User.objects.count(), Membership.objects.count()) == (1, 1, 1)
        assert ApiKey.objects.filter(revoked_at=None).count() >= 1


def test_of_two_that_become_the_operator_at_once_one_is() -> None:
    tenants = [make_tenant(slug) for slug in ("one", "two")]

    def name(tenant: Tenant) -> Callable[[], Tenant]:
        return lambda: make_operator(acting=SYSTEM, tenant_id=tenant.id)

    results = in_parallel(*(name(tenant) for tenant in tenants))
    assert Counter(type(r) for r in results) == {Tenant: 1, Conflict: 1}
    assert AuditRecord.objects.filter(action="tenant.make_operator").count() == 1


def test_changes_of_one_key_at_once_all_count(owner: Person) -> None:
    key = make_key(owner)

    def change(limit: str) -> Callable[[], ApiKey]:
        return lambda: change_key(acting=owner.acting, key_id=key.row.id, limits={limit: 7})

    in_parallel(*(change(name) for name in ("requests_per_minute", "tokens_per_minute", "concurrent_requests")))
    with tenant_scope(owner.tenant):
        assert ApiKey.objects.get(pk=key.row.id).limits == Limits(7, 7, 7)


async def test_a_reader_during_many_changes_ends_with_what_is_published(valkey: redis.Redis, redis_url: str) -> None:
    reader = Directory(redis_url, [Table(name, bytes, bytes) for name in ("keys", "models")])
    await reader.start()

    def publish(worker: int) -> None:
        for i in range(150):
            bus_directory.publish(valkey, "keys", {f"{worker}-{i}": b"x", f"{worker}-{i - 3}": None})
            if i % 40 == 20:
                valkey.client_kill_filter(_type="pubsub")

    bus_directory.reconcile(valkey, "keys", dict)
    await asyncio.gather(*(asyncio.to_thread(publish, n) for n in range(3)))
    expected = {f"{n}-{i}" for n in range(3) for i in range(147, 150)}
    changed = asyncio.Event()
    reader.on_change(lambda table, fields: changed.set())
    async with asyncio.timeout(LONG):
        while {name for name, _ in reader.items(KEYS)} != expected:
            await changed.wait()
            changed.clear()
    await reader.stop()


async def test_every_key_that_a_reader_shows_can_be_read(valkey: redis.Redis, redis_url: str, owner: Person) -> None:
    from channels.db import database_sync_to_async

    made = await database_sync_to_async(make_key)(owner)
    reader = Directory(redis_url, [KEYS])
    await reader.start()
    await asyncio.wait_for(reader.wait_loaded(), LONG)
    known = dict(reader.items(KEYS))[made.row.identifier]
    assert (known.id, known.kind) == (made.row.id.hex, "key")
    await reader.stop()

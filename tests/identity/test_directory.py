"""The directory's table of keys: published after commit, repaired by the loop, and the way back of key use."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from typing import Any

import msgspec
import pytest
import redis
from channels.db import database_sync_to_async
from django.db import transaction
from django.utils import timezone

from ollamamax.bus import connect, keys, publication, regions
from ollamamax.bus.directory import Directory, publish
from ollamamax.contract.tables import KEYS, KnownKey, KnownTenant
from ollamamax.identity import access, directory
from ollamamax.identity.actions.key import change_key, issue_key, revoke_key
from ollamamax.identity.actions.key_use import move_key_use
from ollamamax.identity.actions.member import add_member, remove_member
from ollamamax.identity.actions.tenant import change_own_tenant, change_tenant, set_tenant_suspended
from ollamamax.identity.actions.user import set_user_active
from ollamamax.identity.keys import make_key as new_key
from ollamamax.identity.models import ApiKey, Tenant
from ollamamax.identity.queries.key import find_principal
from ollamamax.identity.queries.member import tenants_of
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import Unauthenticated, Unavailable
from ollamamax.kernel.limits import Limits
from ollamamax.kernel.principal import system
from tests.cast import SYSTEM, Key, Person, make_key, secret_part
from tests.patience import BUSY, LONG, until
from tests.servers import free_port

TABLE = keys.directory("keys")


def publish_directory() -> None:
    publication.publish_all(regions.own())


LIMITS = {"requests_per_minute": 60}
HERE = access.Where("/v1/models", "127.0.0.1")
decode = msgspec.json.Decoder(KnownKey).decode


def published(client: redis.Redis) -> dict[str, Any]:
    fields: dict[bytes, bytes] = client.hgetall(TABLE)
    return {name.decode(): json.loads(value) for name, value in fields.items() if name}


@pytest.mark.django_db(transaction=True)
def test_a_key_is_published_when_it_is_issued_and_gone_when_it_is_revoked(valkey: redis.Redis, owner: Person) -> None:
    expires = timezone.now() + datetime.timedelta(days=1)
    key, text = issue_key(acting=owner.acting, name="ci", expires_at=expires, limits=LIMITS, priority="low")
    assert published(valkey) == {
        key.identifier: {
            "hash": key.secret_hash,
            "kind": "key",
            "id": key.id.hex,
            "tenant": owner.tenant.id.hex,
            "name": "ci",
            "permissions": ["inference.use", "model.view"],
            "expires_at": expires.timestamp(),
            "limits": {"requests_per_minute": 60},
            "priority": "low",
            "strict_fields": None,
            "grants": {},
            "made_by": owner.user.id.hex,
            "teams": [],
            "reach": {},
        }
    }
    assert secret_part(text) not in str(published(valkey))
    revoke_key(acting=owner.acting, key_id=key.id)
    assert published(valkey) == {}


@pytest.mark.django_db(transaction=True)
def test_a_changed_key_is_published_and_a_right_that_does_not_count_there_is_not(
    valkey: redis.Redis, owner: Person
) -> None:
    acting = system("tests", owner.tenant.id.hex)
    key, _ = issue_key(acting=acting, name="ci", permissions=["tenant.manage", "inference.use"])
    change_key(acting=owner.acting, key_id=key.id, priority="high", limits={"concurrent_requests": 2})
    known = decode(valkey.hget(TABLE, key.identifier) or b"")
    assert (known.priority, known.limits, known.permissions) == ("high", Limits(concurrent=2), ["inference.use"])


def told(client: redis.Redis, tenant: Tenant) -> KnownTenant:
    value = client.hget(keys.directory("tenants"), tenant.id.hex)
    assert value is not None
    return msgspec.json.decode(value, type=KnownTenant)


@pytest.mark.django_db(transaction=True)
def test_a_tenant_is_published_when_it_is_made_and_when_it_is_changed(valkey: redis.Redis, owner: Person) -> None:
    assert told(valkey, owner.tenant) == KnownTenant()
    change_tenant(acting=SYSTEM, tenant_id=owner.tenant.id, weight=2.5, limits={"tokens_per_minute": 9})
    change_own_tenant(acting=owner.acting, show_route=False)
    assert told(valkey, owner.tenant) == KnownTenant(2.5, Limits(tokens_per_minute=9), show_route=False)


@pytest.mark.django_db(transaction=True)
def test_the_loop_publishes_tenants_that_redis_lost(valkey: redis.Redis, owner: Person) -> None:
    valkey.flushall()
    valkey.hset(keys.directory("tenants"), "0" * 32, b"{}")
    publish_directory()
    assert told(valkey, owner.tenant) == KnownTenant()
    assert valkey.hget(keys.directory("tenants"), "0" * 32) is None


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_is_never_published(valkey: redis.Redis, owner_key: Key) -> None:
    valkey.flushall()
    with transaction.atomic():
        directory.publish_key_on_commit(owner_key.row)
        transaction.set_rollback(True)
    assert published(valkey) == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["away", "full", "a replica"])
def test_no_key_is_issued_while_redis_takes_no_writes(
    valkey: redis.Redis, owner: Person, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with monkeypatch.context() as patched:
        if how == "away":
            nowhere = connect.connect(f"redis://127.0.0.1:{free_port()}/0")
            patched.setattr(regions.Region, "client", nowhere)
        elif how == "full":
            valkey.config_set("maxmemory", 1)
        else:
            valkey.replicaof("127.0.0.1", str(free_port()))
        try:
            with pytest.raises(Unavailable, match="was not made"):
                make_key(owner)
        finally:
            valkey.replicaof("NO", "ONE")
            valkey.config_set("maxmemory", 0)
    with every_tenant():
        assert not ApiKey.objects.exists()
    key = make_key(owner)
    assert list(published(valkey)) == [key.row.identifier]


@pytest.mark.django_db(transaction=True)
def test_who_is_switched_off_removed_or_suspended_takes_their_keys_along_and_brings_them_back(
    valkey: redis.Redis, owner: Person, member: Person, stranger_key: Key
) -> None:
    kept, theirs = make_key(owner), make_key(member)
    both, one = {kept.row.identifier, theirs.row.identifier}, {kept.row.identifier}
    others = {stranger_key.row.identifier}

    def works() -> set[str]:
        """By what was told; and the same by Postgres, and by all that the loop would publish."""
        found = set(published(valkey))
        publish_directory()
        assert set(published(valkey)) == found
        assert {key.row.identifier for key in (kept, theirs) if find_principal(key.text)} == found - others
        return found - others

    assert works() == both
    set_user_active(acting=SYSTEM, user_id=member.user.id, active=False)
    assert works() == one
    set_user_active(acting=SYSTEM, user_id=member.user.id, active=True)
    assert works() == both
    remove_member(acting=owner.acting, tenant=owner.tenant, user=member.user)
    assert works() == one
    add_member(acting=owner.acting, tenant=owner.tenant, user=member.user, role="member")
    assert works() == both
    set_tenant_suspended(acting=SYSTEM, tenant_id=owner.tenant.id, suspended=True)
    assert works() == set()
    assert tenants_of(owner.user) == []
    set_tenant_suspended(acting=SYSTEM, tenant_id=owner.tenant.id, suspended=False)
    assert works() == both
    assert set(published(valkey)) == both | others


@pytest.mark.django_db(transaction=True)
def test_the_loop_repairs_whatever_is_wrong(
    valkey: redis.Redis, owner: Person, owner_key: Key, stranger_key: Key
) -> None:
    expired, revoked = make_key(owner), make_key(owner)
    revoke_key(acting=owner.acting, key_id=revoked.row.id)
    with every_tenant():
        ApiKey.objects.filter(pk=expired.row.id).update(expires_at=timezone.now())
    valkey.hset(TABLE, mapping={"stray": "{}", owner_key.row.identifier: "{}"})
    publish_directory()
    assert published(valkey).keys() == {owner_key.row.identifier, stranger_key.row.identifier}
    version = valkey.get(keys.DIRECTORY_VERSION)
    publish_directory()
    assert valkey.get(keys.DIRECTORY_VERSION) == version
    valkey.flushall()
    publish_directory()
    assert published(valkey).keys() == {owner_key.row.identifier, stranger_key.row.identifier}


@pytest.mark.django_db(transaction=True)
async def test_a_revoked_key_is_refused_by_a_gateway_within_a_second(
    valkey: redis.Redis, redis_url: str, owner: Person
) -> None:
    await database_sync_to_async(publish_directory)()  # until then nobody is told that a key is wrong
    gateway = Directory(redis_url, [KEYS])
    await gateway.start()
    try:
        await asyncio.wait_for(gateway.wait_loaded(), LONG)
        key, text = await database_sync_to_async(issue_key)(acting=owner.acting, name="x")
        principal = await access.authenticate(f"Bearer {text}", gateway, "inference.use", where=HERE)
        assert principal.tenant == owner.tenant.id.hex
        await database_sync_to_async(revoke_key)(acting=owner.acting, key_id=key.id)
        assert await until(lambda: gateway.get(KEYS, key.identifier) is None) < 1.0 + BUSY
        with pytest.raises(Unauthenticated):
            await access.authenticate(f"Bearer {text}", gateway, "inference.use", where=HERE)
    finally:
        await gateway.stop()


async def test_a_key_is_good_from_the_moment_it_is_published(valkey: redis.Redis, redis_url: str) -> None:
    gateway = Directory(redis_url, [KEYS])
    await gateway.start()
    try:
        await asyncio.wait_for(gateway.wait_loaded(), LONG)
        for _ in range(20):
            made = new_key()
            known = KnownKey(made.secret_hash, "key", "id", "tenant", "name", ["inference.use"])
            publish(valkey, "keys", {made.identifier: msgspec.json.encode(known)})
            assert gateway.get(KEYS, made.identifier) is None  # this loop has not read the message yet
            principal = await access.authenticate(f"Bearer {made.text}", gateway, "inference.use", where=HERE)
            assert principal.tenant == "tenant"
    finally:
        await gateway.stop()


def last_used(key: Key) -> datetime.datetime | None:
    with tenant_scope(key.row.tenant_id):
        return ApiKey.objects.get(pk=key.row.id).last_used_at


def at(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


@pytest.mark.django_db
def test_key_use_moves_to_postgres_and_never_backwards(
    valkey: redis.Redis, owner_key: Key, stranger_key: Key, django_assert_num_queries: Any
) -> None:
    now = 1_700_000_000.0
    valkey.hset(keys.KEYS_USED, mapping={owner_key.row.id.hex: now, stranger_key.row.id.hex: int(now) + 5})
    with django_assert_num_queries(1):
        assert move_key_use(valkey) == 2
    assert last_used(owner_key) == at(now)
    assert last_used(stranger_key) == at(now + 5)
    assert valkey.hgetall(keys.KEYS_USED) == {}
    valkey.hset(keys.KEYS_USED, owner_key.row.id.hex, now - 60)
    assert move_key_use(valkey) == 0
    assert last_used(owner_key) == at(now)
    with django_assert_num_queries(0):
        assert move_key_use(valkey) == 0


@pytest.mark.django_db
def test_times_that_make_no_sense_do_no_harm(valkey: redis.Redis, owner_key: Key) -> None:
    valkey.hset(
        keys.KEYS_USED,
        mapping={"nonsense": 1, b"\xff": 1, "f" * 32: 1, owner_key.row.id.hex: time.time() + 1e6},
    )
    assert move_key_use(valkey) == 1
    used = last_used(owner_key)
    assert used is not None
    assert used <= timezone.now()
    assert valkey.hgetall(keys.KEYS_USED) == {}
    for text in ("nan", "inf", "-inf", "x", "1e999"):
        valkey.hset(keys.KEYS_USED, owner_key.row.id.hex, text)
        move_key_use(valkey)
    assert last_used(owner_key) == used


@pytest.mark.django_db
def test_a_use_that_is_told_while_another_is_moved_is_kept(valkey: redis.Redis, owner_key: Key) -> None:
    class Busy(redis.Redis):  # type: ignore[misc]
        """A gateway writes between the loop's read and its clean-up."""

        def eval(self, *args: Any, **kwargs: Any) -> Any:
            valkey.hset(keys.KEYS_USED, owner_key.row.id.hex, 1_700_000_009)
            return super().eval(*args, **kwargs)

    valkey.hset(keys.KEYS_USED, owner_key.row.id.hex, 1_700_000_000)
    busy = Busy(connection_pool=valkey.connection_pool)
    move_key_use(busy)
    assert valkey.hgetall(keys.KEYS_USED) != {}
    move_key_use(valkey)
    assert last_used(owner_key) == at(1_700_000_009)

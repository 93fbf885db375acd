"""From a commit into the directories of all regions: never stale, never forgotten, on a real Postgres and two real Valkeys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.db import transaction

from ollamamax.bus import keys, publication, regions
from ollamamax.bus.models import Unpublished
from ollamamax.bus.publication import Fields
from ollamamax.bus.regions import Region
from ollamamax.contract.tables import TENANTS, KnownTenant
from ollamamax.embedded.valkey import TemporaryValkey
from ollamamax.identity import directory
from ollamamax.identity.models import Tenant
from tests.cast import Person
from tests.servers import free_port

pytestmark = pytest.mark.django_db(transaction=True)


def change(tenant: Tenant, weight: float) -> None:
    """A change of the truth, and its publication."""
    with transaction.atomic():
        Tenant.objects.filter(pk=tenant.pk).update(weight=weight)
        directory.publish_tenant_on_commit(tenant)


def told(region: Region, tenant: Tenant) -> float | None:
    """The weight that the region's directory says."""
    value: bytes | None = region.client.hget(keys.directory(TENANTS.name), tenant.id.hex)
    return None if value is None else TENANTS.decode(value).weight


class Elsewhere:
    """The Valkey of a second region, named ``eu``."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.start()

    def start(self) -> None:
        self.server = TemporaryValkey(self._folder, self._port)

    def stop(self) -> None:
        if self.server.process.poll() is None:
            self.server.stop()


@pytest.fixture
def elsewhere(tmp_path: Path, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    made = Elsewhere(tmp_path / "eu")
    monkeypatch.setitem(settings.ENV.values, "OLLAMAMAX_OTHER_REGIONS", {"eu": made.server.url})
    yield made
    made.stop()


def test_of_two_who_commit_close_together_the_last_commit_is_what_is_told(
    valkey: redis.Redis, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = [True]

    def load(fields: Fields) -> Mapping[str, KnownTenant]:
        read = directory.known_tenants(fields)
        if slow.pop() if slow else False:
            # This one has read, and not published yet, when the other commits and publishes.
            change(owner.tenant, 3.0)
        return read

    monkeypatch.setitem(publication._tables, TENANTS.name, (TENANTS, load))
    change(owner.tenant, 2.0)
    assert told(regions.own(), owner.tenant) == 3.0
    assert not Unpublished.objects.exists()


def test_what_was_rolled_back_is_neither_told_nor_noted(valkey: redis.Redis, owner: Person) -> None:
    valkey.flushall()
    with transaction.atomic():
        directory.publish_tenant_on_commit(owner.tenant)
        transaction.set_rollback(True)
    assert told(regions.own(), owner.tenant) is None
    assert not Unpublished.objects.exists()


def test_a_region_that_is_away_is_told_later_and_the_others_at_once(owner: Person, elsewhere: Elsewhere) -> None:
    here, there = regions.every()
    change(owner.tenant, 2.0)
    assert (told(here, owner.tenant), told(there, owner.tenant)) == (2.0, 2.0)
    elsewhere.stop()
    change(owner.tenant, 4.0)
    assert told(here, owner.tenant) == 4.0
    assert publication.behind(here) == 0.0
    assert publication.behind(there) > 0.0
    with pytest.raises(redis.RedisError):
        publication.publish_noted(there)
    elsewhere.start()
    assert publication.publish_noted(there) == 1
    assert told(there, owner.tenant) == 4.0
    assert publication.behind(there) == 0.0


def test_each_region_counts_its_own_changes(owner: Person, elsewhere: Elsewhere) -> None:
    here, there = regions.every()
    publication.publish_all(here)
    publication.publish_all(there)
    before = here.directory_number(), there.directory_number()
    change(owner.tenant, 2.0)
    assert (here.directory_number(), there.directory_number()) == (before[0] + 1, before[1] + 1)
    publication.repair(here, TENANTS.name)
    assert here.directory_number() == before[0] + 1, "what is so already is not published again"


def test_what_a_region_lost_is_published_whole_without_waiting_for_a_repair(valkey: redis.Redis, owner: Person) -> None:
    region = regions.own()
    publication.publish_all(region)
    assert publication.repair_lost(region) == []
    valkey.flushall()
    assert set(publication.repair_lost(region)) == set(publication.tables())
    assert told(region, owner.tenant) == 1.0


def test_what_is_noted_by_a_newer_program_waits_for_one(valkey: redis.Redis) -> None:
    Unpublished.objects.create(region="", table="of_tomorrow", field="x")
    assert publication.publish_noted(regions.own()) == 1
    assert Unpublished.objects.count() == 1

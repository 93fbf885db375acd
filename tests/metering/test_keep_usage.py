"""Partitions are made ahead and dropped when they are too old, by functions of the owner; rows are never in the way of it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from ollamamax.contract import Route
from ollamamax.env import Environment
from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.metering import queries
from ollamamax.metering.actions import usage as actions
from ollamamax.metering.models import RequestRoute, UsageRecord, UsageSum
from tests.cast import Person
from tests.metering.records import wire

pytestmark = pytest.mark.django_db(transaction=True)
DAY = datetime.timedelta(days=1)


def partitions(table: str) -> dict[str, int]:
    """Name after the table's -> how many rows it has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = %s::regclass", [table]
        )
        names = [name for (name,) in cursor.fetchall()]
        return {name.removeprefix(f"{table}_"): count(name) for name in names}


def count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{table}"')
        found: int = cursor.fetchone()[0]
        return found


def first_id(at: datetime.datetime) -> str:
    return f"{int(at.timestamp() * 1000):012x}".ljust(32, "0")


def make(table: str, since: datetime.datetime, days: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_make_partition(%s, %s, %s)", [table, since, since + days * DAY])


@pytest.fixture
def today() -> datetime.datetime:
    return timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture
def without() -> Iterator[Callable[[str, str], None]]:
    """Drops a partition, as if it had not been made yet; all are there again afterwards."""

    def drop(table: str, name: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP TABLE "{table}_{name}"')

    yield drop
    actions.keep_usage()


def test_they_are_there_for_weeks_ahead_and_making_them_again_makes_none(today: datetime.datetime) -> None:
    actions.keep_usage()
    week = today - today.weekday() * DAY
    assert {f"{week + n * 7 * DAY:%Y%m%d}" for n in range(5)} <= set(partitions("metering_usagerecord"))
    assert {f"{today + n * DAY:%Y%m%d}" for n in range(8)} <= set(partitions("metering_requestroute"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_make_partitions()")
        assert cursor.fetchone() == (0,)


def test_a_record_goes_to_the_partition_of_its_id(owner: Person, today: datetime.datetime) -> None:
    actions.insert([wire(owner.tenant, route=Route(strategy="balanced"))])
    week = today - today.weekday() * DAY
    assert partitions("metering_usagerecord")[f"{week:%Y%m%d}"] == 1
    assert partitions("metering_requestroute")[f"{today:%Y%m%d}"] == 1


def test_what_came_before_its_partition_is_moved_there(
    owner: Person, today: datetime.datetime, without: Callable[[str, str], None]
) -> None:
    week = f"{today - today.weekday() * DAY:%Y%m%d}"
    without("metering_usagerecord", week)
    without("metering_requestroute", f"{today:%Y%m%d}")
    record = wire(owner.tenant, route=Route(strategy="balanced"))
    actions.insert([record])
    assert partitions("metering_usagerecord")["other"] == partitions("metering_requestroute")["other"] == 1
    actions.keep_usage()
    assert partitions("metering_usagerecord")["other"] == partitions("metering_requestroute")["other"] == 0
    assert partitions("metering_usagerecord")[week] == partitions("metering_requestroute")[f"{today:%Y%m%d}"] == 1
    actions.insert([record])
    with tenant_scope(owner.tenant):
        assert (UsageRecord.objects.count(), queries.totals().requests) == (1, 1)


def test_what_is_too_old_goes_and_the_sums_stay(owner: Person, today: datetime.datetime, settings: Settings) -> None:
    settings.ENV = Environment(
        {
            **settings.ENV.values,
            "OLLAMAMAX_USAGE_DAYS": 30,
            "OLLAMAMAX_ROUTE_DAYS": 2,
            "OLLAMAMAX_USAGE_TOTALS_DAYS": 60,
        }
    )
    week = today - today.weekday() * DAY
    for weeks in (4, 5, 6):
        make("metering_usagerecord", week - weeks * 7 * DAY, 7)
    for days in (2, 3, 4):
        make("metering_requestroute", today - days * DAY, 1)
    ages = (0, 1, 3, 4, 29, 43, 50, 70)
    for age in ages:
        at = timezone.now() - age * DAY
        actions.insert([wire(owner.tenant, request=first_id(at), received_at=at, route=Route(strategy="balanced"))])
    # Ids that tell no time of ours.
    actions.insert([wire(owner.tenant, request=uuid.uuid5(uuid.NAMESPACE_DNS, "x").hex, route=Route(strategy="x"))])
    actions.keep_usage()
    with every_tenant():
        kept = sorted((timezone.now() - each.received_at).days for each in UsageRecord.objects.all())
        assert kept == [0, 0, 1, 3, 4, 29]
        assert RequestRoute.objects.count() == 2
        assert UsageSum.objects.filter(by="all", period="hour").count() == len(ages) - 1
    left = partitions("metering_usagerecord")
    assert f"{week - 42 * DAY:%Y%m%d}" not in left
    assert f"{today - 3 * DAY:%Y%m%d}" not in partitions("metering_requestroute")


def test_sums_are_kept_as_long_as_a_record_of_theirs_may_be(owner: Person, settings: Settings) -> None:
    settings.ENV = Environment({**settings.ENV.values, "OLLAMAMAX_USAGE_DAYS": 30, "OLLAMAMAX_USAGE_TOTALS_DAYS": 1})
    at = timezone.now() - 29 * DAY
    actions.insert([wire(owner.tenant, request=first_id(at), received_at=at)])
    actions.keep_usage()
    with tenant_scope(owner.tenant):
        assert queries.totals().requests == UsageRecord.objects.count() == 1


@pytest.mark.parametrize("days", [0, -5])
def test_no_number_drops_what_is_new(owner: Person, days: int) -> None:
    actions.insert([wire(owner.tenant, route=Route(strategy="balanced"))])
    with connection.cursor() as cursor:
        cursor.execute("SELECT metering_drop_partitions(%s, %s)", [days, days])
    with tenant_scope(owner.tenant):
        assert UsageRecord.objects.count() == RequestRoute.objects.count() == 1

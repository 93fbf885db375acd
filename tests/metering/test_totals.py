"""What usage sums up to is exactly the sum over its records, however they came and whatever is asked."""

from __future__ import annotations

import datetime
import itertools
import random
import threading
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from ollamamax.identity.scope import every_tenant, tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.ids import uuid7
from ollamamax.metering import queries
from ollamamax.metering.actions import usage as actions
from ollamamax.metering.models import ModelPrice, UsageRecord, UsageSum
from tests.cast import Person
from tests.metering.records import wire, written

HOUR = datetime.timedelta(hours=1)
Row = dict[str, Any]


def invented(dice: random.Random, tenants: list[Any], start: datetime.datetime) -> bytes:
    """A record at or around a full hour of three days, now and then at its very beginning or end."""
    at = start + dice.randrange(72) * HOUR + dice.choice(
        [datetime.timedelta(), datetime.timedelta(microseconds=-1), datetime.timedelta(seconds=dice.random() * 3600)]
    )  # fmt: skip
    outcome = dice.choice(["ok", "ok", "cancelled", "failed", "gateway_lost", "node_lost", "refused"])
    node = "" if outcome in {"refused", "cancelled"} else uuid.UUID(int=dice.randrange(1, 4)).hex
    tokens = (0, 0) if outcome == "refused" else (dice.randrange(100), dice.randrange(100))
    cost = dice.choice([None, 0.1, 0.2, 1e-9, 12.5])
    return wire(
        dice.choice(tenants), received_at=at, outcome=outcome, node=node, model=dice.choice("abc"),
        user=dice.choice(["", "ann", "bob"]), key=uuid.UUID(int=dice.randrange(1, 4)).hex, prompt_tokens=tokens[0],
        completion_tokens=tokens[1], cached_tokens=dice.choice([None, tokens[0] // 2]), cost=cost, currency=dice.choice(["", "EUR", "USD"]),
    )  # fmt: skip


def summed(rows: list[Row], by: tuple[str, ...]) -> dict[tuple[Any, ...], Row]:
    """The sums, by what the groups are of; made of the records one by one."""
    kinds: dict[str, Callable[[Row], Any]] = {
        "day": lambda row: row["received_at"].replace(hour=0, minute=0, second=0, microsecond=0),
        "hour": lambda row: row["received_at"].replace(minute=0, second=0, microsecond=0),
    }
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        group = tuple(kinds.get(name, lambda row, name=name: row[name])(row) for name in by)
        into = found.setdefault(
            group,
            {
                "requests": 0,
                "refused": 0,
                "failed": 0,
                "prompt_tokens": 0,
                "completion_tokens": 0,
                "cached_tokens": 0,
                "costs": {},
                "charges": {},
            },
        )
        refused = row["outcome"] == "refused"
        ran = row["node"] is not None and not refused
        into["requests"] += ran
        into["refused"] += refused
        into["failed"] += ran and row["outcome"] in {"failed", "gateway_lost", "node_lost"}
        into["prompt_tokens"] += row["prompt_tokens"]
        into["completion_tokens"] += row["completion_tokens"]
        into["cached_tokens"] += row["cached_tokens"] or 0
        if row["cost"] is not None:
            amount, priced = into["costs"].get(row["currency"], (Decimal(0), 0))
            into["costs"][row["currency"]] = (amount + row["cost"], priced + 1)
        if row["charge"] is not None:
            amount, charged = into["charges"].get(row["charge_currency"], (Decimal(0), 0))
            into["charges"][row["charge_currency"]] = (amount + row["charge"], charged + 1)
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_sums_are_those_of_the_records_for_every_time_group_and_filter(
    seed: int, owner: Person, stranger: Person
) -> None:
    dice = random.Random(seed)
    start = timezone.now().replace(minute=0, second=0, microsecond=0) - datetime.timedelta(days=4)
    records = [invented(dice, [owner.tenant, stranger.tenant], start) for _ in range(250)]
    with tenant_scope(owner.tenant):
        # Some of the records are from before it.
        price = ModelPrice.objects.create(tenant=owner.tenant, model="a:latest", prompt_million=30_000, currency="EUR")
        ModelPrice.objects.filter(pk=price.pk).update(valid_from=start + 20 * HOUR)
    # In batches, some records in several, and twice in one.
    for _ in range(12):
        actions.insert(dice.choices(records, k=60))
    actions.insert(records)
    with every_tenant():
        rows: list[Row] = [{**row} for row in UsageRecord.objects.values()]
    assert len(rows) == 250
    moments = [None, *(start + dice.randrange(-3, 76) * HOUR + dice.choice([0, 0, 0.3, 0.7]) * HOUR for _ in range(30))]
    names = ["day", "hour", "model", "user", "key", "node"]
    choices = [(), *itertools.combinations(names, 1), *itertools.permutations(names, 2), ("tenant_id",)]
    for _ in range(80):
        since, until, by = dice.choice(moments), dice.choice(moments), dice.choice(choices)
        sample = dice.choice(rows)
        only = {name: sample[name] for name in dice.sample(["model", "user", "key"], k=dice.choice([0, 0, 1, 1, 2]))}
        tenants = {owner.tenant.id, stranger.tenant.id} if by == ("tenant_id",) else {owner.tenant.id}
        matching = [
            row
            for row in rows
            if row["tenant_id"] in tenants
            and (since is None or row["received_at"] >= since)
            and (until is None or row["received_at"] < until)
            and all(row[name] == value for name, value in only.items())
        ]
        with every_tenant() if by == ("tenant_id",) else tenant_scope(owner.tenant):
            found = queries.groups(by=by, since=since, until=until, **only)
            listed = queries.usage(since=since, until=until, **only).count()
        expected = summed(matching, by)
        if matching or by:
            assert {tuple(each.group.values()): {**vars(each), "group": 0} for each in found} == {
                group: {**sums, "group": 0} for group, sums in expected.items()
            }, (since, until, by, only)
        assert listed == len(matching)


@pytest.mark.django_db(transaction=True)
def test_records_that_several_write_at_once_are_summed_once(owner: Person) -> None:
    """Each in an order of its own, so that they want the same sums at once."""
    dice = random.Random(5)
    records = [wire(owner.tenant, model=dice.choice("abcdef"), key=uuid.UUID(int=n % 7).hex) for n in range(400)]
    batches = [records[at : at + 50] for at in range(0, 400, 50)]
    failures: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            for batch in random.Random(seed).sample(batches, k=len(batches)):
                actions.insert(batch)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with tenant_scope(owner.tenant):
        assert queries.totals().requests == UsageRecord.objects.count() == 400
        assert sum(each.requests for each in queries.groups(by=("model", "key"))) == 400


@pytest.mark.django_db
def test_sums_outlive_records_and_part_of_an_hour_without_records_counts_as_the_hour(owner: Person) -> None:
    old = timezone.now() - datetime.timedelta(days=600)
    record = written(owner.tenant, received_at=old.replace(minute=30))
    with tenant_scope(owner.tenant):
        UsageRecord.objects.filter(request=record.request).delete()
        assert queries.totals().requests == 1
        assert queries.totals(since=old.replace(minute=45)).requests == 1
        assert queries.totals(since=old.replace(minute=45), model=record.model, key=record.key).requests == 1
        assert queries.totals(since=old.replace(minute=45) + HOUR).requests == 0


@pytest.mark.django_db
def test_more_groups_than_can_be_told_are_refused(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        written(owner.tenant)
    monkeypatch.setattr(queries, "MOST_GROUPS", 2)
    with tenant_scope(owner.tenant):
        assert len(queries.groups(by=("day",))) == 1
        with pytest.raises(InvalidRequest, match="more than 2 groups"):
            queries.groups(by=("key",))


@pytest.mark.django_db
def test_groups_are_told_by_time_and_then_the_largest_first(owner: Person, owner_api: APIClient) -> None:
    today = timezone.now().replace(minute=5)
    yesterday = today - datetime.timedelta(days=1)
    for at, model in [(today, "a"), (today, "b"), (today, "b"), (yesterday, "c")]:
        written(
            owner.tenant, received_at=at, model=model, node="" if model == "c" else uuid7(), cost=0.5, currency="EUR"
        )
    shown = owner_api.get("/api/v1/usage/groups?by=day&by=model").json()["results"]
    assert [(each["day"][:10], each["model"], each["requests"]) for each in shown] == [
        (f"{yesterday:%Y-%m-%d}", "c", 0),
        (f"{today:%Y-%m-%d}", "b", 2),
        (f"{today:%Y-%m-%d}", "a", 1),
    ]
    assert shown[1]["costs"] == [{"currency": "EUR", "amount": "1.000000000", "requests": 2}]
    assert "key" not in shown[0]
    by_node = owner_api.get("/api/v1/usage/groups", {"by": "node"}).json()["results"]
    assert by_node[-1]["node"] is None
    assert owner_api.get("/api/v1/usage/groups").status_code == 400
    assert owner_api.get("/api/v1/usage/groups", {"by": "tenant_id"}).status_code == 400
    assert owner_api.get("/api/v1/usage/groups?by=day&by=model&by=key").status_code == 400


@pytest.mark.django_db
def test_tenants_are_summed_for_the_operator_alone(
    owner: Person, stranger: Person, operator_api: APIClient, owner_api: APIClient, anonymous_api: APIClient
) -> None:
    written(owner.tenant)
    written(stranger.tenant)
    written(stranger.tenant)
    shown = operator_api.get("/api/v1/usage/tenants").json()["results"]
    assert {each["tenant"]: each["requests"] for each in shown} == {
        str(owner.tenant.id): 1,
        str(stranger.tenant.id): 2,
    }
    assert owner_api.get("/api/v1/usage/tenants").status_code == 403
    assert anonymous_api.get("/api/v1/usage/tenants").status_code == 401
    with every_tenant():
        assert UsageSum.objects.filter(by="all", period="day").count() == 2

"""What each request is charged: by the price that counted when it was received, stamped once and never again."""

from __future__ import annotations

import datetime
import json
import time
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import connection
from rest_framework.test import APIClient

from ollamamax.contract import AttemptRecord, Route
from ollamamax.contract.model_names import with_tag
from ollamamax.identity.scope import tenant_scope
from ollamamax.kernel.errors import InvalidRequest
from ollamamax.kernel.ids import new_id
from ollamamax.metering.actions import spending
from ollamamax.metering.actions.budget import create_budget, known_budgets, set_price
from ollamamax.metering.models import ModelPrice, UsageRecord
from ollamamax.metering.queries import Sums
from tests.cast import Person
from tests.metering.records import wire, written

pytestmark = pytest.mark.django_db


def priced(owner: Person, model: str = "", *, ago: int = 3600, **given: Any) -> ModelPrice:
    """A price that counts since so many seconds."""
    amounts = {"prompt_million": 0, "completion_million": 0, "second": 0} | given
    decimals: dict[str, Any] = {name: Decimal(value) for name, value in amounts.items()}
    made = set_price(acting=owner.acting, model=model, currency="EUR", **decimals)
    since = made.valid_from - datetime.timedelta(seconds=ago)
    with tenant_scope(owner.tenant):
        ModelPrice.objects.filter(pk=made.pk).update(valid_from=since)
    return made


def stamp(record: UsageRecord) -> tuple[Any, ...]:
    return record.charge, record.charge_currency, record.price, record.slot_seconds


UNCHARGED = (None, "", None, None)


def test_old_usage_keeps_its_price_and_each_record_says_which_it_was(owner: Person, stranger: Person) -> None:
    used: dict[str, Any] = {"prompt_tokens": 1000, "completion_tokens": 100, "model": "m"}
    assert stamp(written(owner.tenant, **used)) == UNCHARGED
    general = priced(owner, prompt_million=2, completion_million=10, ago=7200)
    before = written(owner.tenant, **used)
    own = priced(owner, "m:latest", prompt_million=4, completion_million=20, cached_million=1, ago=60)
    assert stamp(before) == (Decimal("0.003"), "EUR", general.id, None)
    assert stamp(written(owner.tenant, **used)) == (Decimal("0.006"), "EUR", own.id, None)
    assert written(owner.tenant, **used, cached_tokens=500).charge == Decimal("0.0045")
    # It waited until the price was another one.
    assert stamp(written(owner.tenant, **used, received_at=time.time() - 1800)) == stamp(before)
    assert written(owner.tenant, **used | {"model": "other:1"}).price == general.id
    # Before the first price, and for the prices of another tenant.
    assert stamp(written(owner.tenant, **used, received_at=time.time() - 9000)) == UNCHARGED
    assert stamp(written(stranger.tenant, **used)) == UNCHARGED
    with tenant_scope(owner.tenant):
        before.refresh_from_db()
    assert stamp(before) == (Decimal("0.003"), "EUR", general.id, None)


def test_a_version_by_its_digest_costs_no_less_than_by_a_name(owner: Person) -> None:
    """In charges as in budgets; a name without a tag is the one with ``latest``, where a price is set as where it is used."""
    create_budget(acting=owner.acting, whose="tenant", unit="money", period="day", most=Decimal(5))
    general = priced(owner, prompt_million=1)
    priced(owner, "m:8b", prompt_million=2, completion_million=4)
    priced(owner, "m:70b", prompt_million=99, completion_million=90)
    dear = priced(owner, "m:70b", prompt_million=30, completion_million=60)
    priced(owner, "mm:1", prompt_million=500, completion_million=500)
    own = priced(owner, f"m2@sha256:{'1' * 64}", prompt_million=7)
    untagged = priced(owner, "m2", prompt_million=9, completion_million=9)
    assert untagged.model == "m2:latest"
    known = known_budgets()[owner.tenant.id.hex]
    for model, price in (
        (f"m@sha256:{'1' * 64}", dear),
        ("m:1b", general),
        (f"x@sha256:{'1' * 64}", general),
        (f"m2@sha256:{'1' * 64}", own),
        (f"m2@sha256:{'2' * 64}", untagged),
        ("m2:latest", untagged),
        ("m2", untagged),
    ):
        found = written(owner.tenant, prompt_tokens=1_000_000, completion_tokens=0, model=model)
        assert (found.price, found.charge) == (price.id, price.prompt_million), model
        assert known.price_of(with_tag(model)).prompt_token * 1e6 == pytest.approx(float(price.prompt_million)), model
    with pytest.raises(InvalidRequest, match="400"):
        priced(owner, "m" * 400)


def test_seconds_are_those_of_the_slots_that_it_had(owner: Person) -> None:
    price = priced(owner, second="0.5")
    begun = time.time() - 100
    tries = [
        AttemptRecord("a" * 32, "gpu-1", "only", begun, started_at=begun + 1),
        AttemptRecord("b" * 32, "gpu-2", "only", begun + 4),
        AttemptRecord("c" * 32, "gpu-3", "only", begun + 5, started_at=begun + 6),
    ]
    took: dict[str, Any] = {"received_at": begun, "duration_ms": 16_000.0}
    found = written(owner.tenant, **took, route=Route(attempts=tries))
    assert found.slot_seconds == pytest.approx(3 + 10, abs=1e-3)
    assert float(found.charge or 0) == pytest.approx(6.5, abs=1e-3)
    # Of a gateway that was lost nobody has the tries; who settles for it says how long its slot was held.
    lost = written(owner.tenant, **took, outcome="gateway_lost", error="gateway_lost", slot_seconds=8.0)
    assert stamp(lost) == (Decimal(4), "EUR", price.id, 8.0)


def test_what_is_run_again_for_a_rollout_is_charged_to_nobody(owner: Person) -> None:
    priced(owner, prompt_million=2, completion_million=10)
    used: dict[str, Any] = {"prompt_tokens": 1000, "completion_tokens": 100, "model": "m"}
    assert stamp(written(owner.tenant, **used, shadow_of=new_id())) == UNCHARGED
    assert written(owner.tenant, **used).charge == Decimal("0.003")


def test_nothing_is_charged_for_what_no_node_had_or_no_engine_counted(owner: Person) -> None:
    price = priced(owner, prompt_million=1)
    none = {"prompt_tokens": 0, "completion_tokens": 0}
    for record in (
        written(owner.tenant, **none, node="", outcome="cancelled"),
        written(owner.tenant, **none, outcome="refused"),
        written(owner.tenant, **none),
    ):
        assert stamp(record) == UNCHARGED
    failed = written(owner.tenant, **none, outcome="failed", error="engine_hung")
    assert stamp(failed) == (0, "EUR", price.id, None)


def test_money_is_shown_by_the_price_list_beside_the_costs_of_nodes(
    owner: Person, owner_api: APIClient, valkey: redis.Redis
) -> None:
    first = written(owner.tenant, model="a:1", cost=0.25, currency="USD")
    price = priced(owner, prompt_million=1_000_000)
    both = written(owner.tenant, model="a:1", cost=0.25, currency="USD", prompt_tokens=3)
    written(owner.tenant, model="b:1", cost=0.5, currency="EUR", prompt_tokens=4)
    totals = owner_api.get("/api/v1/usage/totals").json()
    assert (totals["requests"], totals["prompt_tokens"]) == (3, 12)
    assert totals["charges"] == [{"currency": "EUR", "amount": "7.000000000", "requests": 2}]
    assert totals["costs"] == [
        {"currency": "EUR", "amount": "0.500000000", "requests": 1},
        {"currency": "USD", "amount": "0.500000000", "requests": 2},
    ]
    file = owner_api.get("/api/v1/usage/export", {"by": "model"}).getvalue().decode().splitlines()
    assert [line.split(",")[-3:] for line in file] == [
        ["cost_EUR", "cost_USD", "charge_EUR"],
        ["", "0.500000000", "3.000000000"],
        ["0.500000000", "", "4.000000000"],
    ]
    one = owner_api.get(f"/api/v1/requests/{both.request}").json()
    assert (one["charge"], one["charge_currency"], one["price"]) == ("3.000000000", "EUR", str(price.id))
    assert owner_api.get(f"/api/v1/requests/{first.request}").json()["charge"] is None
    # A budget of money that Redis lost is told again what was charged.
    create_budget(acting=owner.acting, whose="tenant", unit="money", period="day", most=Decimal(50))
    assert spending.balance() == 1
    (budget,) = owner_api.get("/api/v1/budgets").json()["results"]
    assert budget["used"] == 7


@pytest.mark.parametrize("used", [(1, 0), (1000, 7), (1 << 24, 1 << 24)])
def test_money_is_the_same_to_the_last_digit_wherever_it_is_shown(
    owner: Person, owner_api: APIClient, valkey: redis.Redis, used: tuple[int, int]
) -> None:
    priced(owner, prompt_million="0.000000001", completion_million="999999999.999999999", cached_million=0)
    now = time.time()
    for ago in (0, 30, 3600):
        written(owner.tenant, model="a:1", prompt_tokens=used[0], completion_tokens=used[1], received_at=now - ago)
    with tenant_scope(owner.tenant), connection.cursor() as cursor:
        cursor.execute("SELECT sum(charge)::text FROM metering_usagerecord")
        exact = cursor.fetchone()[0]
    # From sums of days and hours, and from records where an hour is cut.
    for span in ({}, {"since": datetime.datetime.fromtimestamp(now - 3601, datetime.UTC).isoformat()}):
        told = owner_api.get("/api/v1/usage/totals", span).json()["charges"]
        assert [each["amount"] for each in told] == [exact]
        told = owner_api.get("/api/v1/usage/groups", {"by": "model", **span}).json()["results"][0]["charges"]
        assert [each["amount"] for each in told] == [exact]
        file = owner_api.get("/api/v1/usage/export", {"by": "model", **span}).getvalue().decode().splitlines()
        assert file[1].split(",")[-1] == exact
        lines = owner_api.get("/api/v1/usage/export", {"by": "model", "form": "jsonl", **span}).getvalue()
        assert json.loads(lines)["charge_EUR"] == exact


def test_sums_have_as_many_digits_as_their_columns() -> None:
    row: dict[str, Any] = dict.fromkeys(
        ("of_requests", "of_refused", "of_failed", "of_prompt_tokens", "of_completion_tokens"), 0
    )
    row |= {"of_cached_tokens": 0, "of_priced": 0, "of_charged": 1, "currency": "EUR"}
    sums = Sums()
    for charge in ("12345678901234567890123456789.000000001", "0.000000002"):
        sums.add(row | {"of_charge": Decimal(charge)})
    assert sums.charges == {"EUR": (Decimal("12345678901234567890123456789.000000003"), 2)}


def test_a_route_of_another_shape_keeps_its_record_from_nothing_but_its_seconds(owner: Person) -> None:
    priced(owner, second=1)
    assert b"slot_seconds" not in wire(owner.tenant)
    assert written(owner.tenant).slot_seconds == 0

"""`/api/v1/usage` and `/api/v1/usage/totals`."""

from __future__ import annotations

import csv
import datetime
import io
import json
import uuid
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from ollamamax.identity.api.export import Export
from ollamamax.identity.scope import current_tenant
from ollamamax.kernel.ids import uuid7
from ollamamax.metering.models import UsageRecord
from tests.cast import Key, Person
from tests.metering.records import written

pytestmark = pytest.mark.django_db
USAGE = "/api/v1/usage"


def used(person: Person, **changes: Any) -> UsageRecord:
    return written(person.tenant, **changes)


@pytest.fixture(autouse=True)
def _scope() -> Any:
    from ollamamax.identity.scope import every_tenant

    with every_tenant():
        yield


def test_records_are_listed_the_newest_first(owner: Person, viewer_api: APIClient) -> None:
    older = used(owner, received_at=timezone.now() - datetime.timedelta(hours=1))
    newer = used(owner)
    results = viewer_api.get(USAGE).json()["results"]
    assert [each["request"] for each in results] == [str(newer.request), str(older.request)]
    assert results[0]["completion_tokens"] == 9
    assert results[0]["first_token_ms"] is None
    assert "tenant" not in results[0]


def test_pages_follow_each_other_without_a_hole(owner: Person, owner_api: APIClient) -> None:
    now = timezone.now()
    made = {str(used(owner, received_at=now).request) for _ in range(7)}
    seen: list[str] = []
    url: str | None = f"{USAGE}?limit=3"
    while url:
        page = owner_api.get(url).json()
        seen += [each["request"] for each in page["results"]]
        url = page["next"]
    assert sorted(seen) == sorted(made)


def test_filters_and_totals_agree(owner: Person, owner_api: APIClient) -> None:
    key = uuid7()
    used(owner, key=key, model="a:latest")
    used(owner, key=key, model="b:latest", received_at=timezone.now() - datetime.timedelta(days=2))
    used(owner)
    assert owner_api.get(f"{USAGE}/totals").json() == {
        "requests": 3,
        "refused": 0,
        "failed": 0,
        "prompt_tokens": 15,
        "completion_tokens": 27,
        "cached_tokens": 0,
        "costs": [],
        "charges": [],
    }
    assert len(owner_api.get(USAGE, {"key": str(key)}).json()["results"]) == 2
    assert owner_api.get(f"{USAGE}/totals", {"key": str(key), "model": "a:latest"}).json()["requests"] == 1
    since = (timezone.now() - datetime.timedelta(days=1)).isoformat()
    assert owner_api.get(f"{USAGE}/totals", {"since": since}).json()["requests"] == 2
    assert owner_api.get(f"{USAGE}/totals", {"until": since}).json()["requests"] == 1
    assert owner_api.get(f"{USAGE}/totals", {"model": "nothing"}).json()["completion_tokens"] == 0


@pytest.mark.parametrize("query", [{"key": "x"}, {"since": "yesterday"}, {"model": "m" * 500}, {"cursor": "zzz"}])
def test_bad_filters_are_refused(owner_api: APIClient, query: dict[str, str]) -> None:
    assert owner_api.get(USAGE, query).status_code in {400, 404}


def test_a_stranger_sees_nothing_of_it(
    owner: Person, stranger_api: APIClient, stranger_key_api: APIClient, anonymous_api: APIClient
) -> None:
    record = used(owner)
    for api in (stranger_api, stranger_key_api):
        assert api.get(USAGE).json()["results"] == []
        assert api.get(USAGE, {"key": str(record.key)}).json()["results"] == []
        assert api.get(f"{USAGE}/totals").json()["requests"] == 0
    assert anonymous_api.get(USAGE).status_code == 401
    assert anonymous_api.get(f"{USAGE}/totals").status_code == 401


def test_the_list_takes_the_same_queries_for_one_record_and_for_many(
    owner: Person, key_api: APIClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    used(owner)
    with django_assert_num_queries(2):  # the key, the page
        key_api.get(USAGE)
    for _ in range(5):
        used(owner)
    with django_assert_num_queries(2):
        key_api.get(USAGE)


# For people: named, compared, as a file.


def test_groups_have_names_and_the_time_before(owner: Person, owner_key: Key, owner_api: APIClient) -> None:
    now = timezone.now()
    used(owner, key=owner_key.row.id, received_at=now - datetime.timedelta(hours=1))
    used(owner, key=owner_key.row.id, received_at=now - datetime.timedelta(hours=30), completion_tokens=100)
    gone = used(owner, received_at=now - datetime.timedelta(hours=30))
    used(owner, received_at=now - datetime.timedelta(hours=60))
    span = {"since": (now - datetime.timedelta(days=1)).isoformat(), "until": now.isoformat()}
    results = owner_api.get(f"{USAGE}/groups", {"by": "key", "compare": "true", **span}).json()["results"]
    assert [(each["key"], each["key_name"], each["requests"]) for each in results] == [
        (str(owner_key.row.id), owner_key.row.name, 1),
        (str(gone.key), "", 0),
    ]
    assert [each["before"]["completion_tokens"] for each in results] == [100, 9]
    assert "before" not in owner_api.get(f"{USAGE}/groups", {"by": "key"}).json()["results"][0]
    for query, field in (({"by": "key", "compare": "true"}, "since"), ({"by": "day", "compare": "true", **span}, "")):
        answer = owner_api.get(f"{USAGE}/groups", query)
        assert answer.status_code == 400
        assert not field or field in answer.json()["fields"]


@pytest.mark.parametrize("period", ["month", "week", "day", "hour"])
def test_sums_by_time_are_those_of_the_records(owner: Person, owner_api: APIClient, period: str) -> None:
    begin = datetime.datetime(2026, 11, 23, tzinfo=datetime.UTC)  # a Monday
    for days in (0, 1, 6, 7, 9):
        used(owner, received_at=begin + datetime.timedelta(days=days, hours=5))
    starts = {
        "month": ["2026-11-01", "2026-12-01"],
        "week": ["2026-11-23", "2026-11-30"],
        "day": ["2026-11-23", "2026-11-24", "2026-11-29", "2026-11-30", "2026-12-02"],
        "hour": ["2026-11-23", "2026-11-24", "2026-11-29", "2026-11-30", "2026-12-02"],
    }
    results = owner_api.get(f"{USAGE}/groups", {"by": period}).json()["results"]
    assert [each[period][:10] for each in results] == starts[period]
    assert sum(each["requests"] for each in results) == 5


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "＝1"]  # noqa: RUF001


def test_a_file_of_sums_holds_no_formula(
    owner: Person, owner_api: APIClient, stranger_api: APIClient, anonymous_api: APIClient
) -> None:
    for user in (*FORMULAS, 'quo"te, comma', "plain"):
        used(owner, user=user, cost=0.5, currency="EUR")
    answer = owner_api.get(f"{USAGE}/export", {"by": "user"}, headers={"accept": "text/csv"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert answer["Content-Disposition"] == 'attachment; filename="usage.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode(), newline="")))
    assert list(rows[0]) == [
        "user",
        "requests",
        "refused",
        "failed",
        "prompt_tokens",
        "completion_tokens",
        "cached_tokens",
        "cost_EUR",
    ]
    assert {row["user"] for row in rows} == {f"'{each}" for each in FORMULAS} | {'quo"te, comma', "plain"}
    assert {row["cost_EUR"] for row in rows} == {"0.500000000"}
    lines = owner_api.get(f"{USAGE}/export", {"by": "user", "form": "jsonl"}).getvalue().splitlines()
    assert {json.loads(line)["user"] for line in lines} == {*FORMULAS, 'quo"te, comma', "plain"}
    assert stranger_api.get(f"{USAGE}/export", {"by": "user"}).getvalue().count(b"\r\n") == 1
    assert anonymous_api.get(f"{USAGE}/export", {"by": "user"}).status_code == 401
    assert owner_api.get(f"{USAGE}/export").status_code == 400


def test_who_used_which_model_by_which_key_is_told_one_by_one_in_the_formats_of_the_trail(
    owner: Person, owner_key: Key, owner_api: APIClient, stranger_api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ollamamax.metering.api.usage.PAGE", 2)
    now = timezone.now()
    made = [
        used(
            owner,
            key=owner_key.row.id,
            received_at=now - datetime.timedelta(minutes=minutes),
            user="=ada",
            outcome=outcome,
        )
        for minutes, outcome in ((3, "ok"), (2, "refused"), (2, "node_lost"), (1, "ok"))
    ]
    requests = [each.request for each in sorted(made, key=lambda each: (each.received_at, each.request))]
    ask = f"{USAGE}/access"
    lines = [json.loads(line) for line in owner_api.get(ask).getvalue().splitlines()]
    assert [uuid.UUID(line["request"]) for line in lines] == requests
    assert {(line["key_name"], line["model"], line["user"]) for line in lines} == {
        (owner_key.row.name, "echo:latest", "=ada")
    }
    rows = list(csv.DictReader(io.StringIO(owner_api.get(ask, {"form": "csv"}).getvalue().decode(), newline="")))
    assert [(uuid.UUID(row["request"]), row["user"]) for row in rows] == [(each, "'=ada") for each in requests]
    events = [json.loads(line) for line in owner_api.get(ask, {"form": "ocsf"}).getvalue().splitlines()]
    assert [event["metadata"]["uid"] for event in events] == [each.hex for each in requests]
    assert sorted(event["status_detail"] for event in events) == ["failed", "ok", "ok", "refused"]
    assert {event["actor"]["user"]["name"] for event in events} == {owner_key.row.name}
    assert {event["resources"][0]["uid"] for event in events} == {"echo:latest"}
    cef = owner_api.get(ask, {"form": "cef", "model": "echo:latest"}).getvalue().decode().splitlines()
    assert [f"cs5={each.hex}" in line for each, line in zip(requests, cef, strict=True)] == [True] * 4
    assert all(line.startswith("CEF:0|OllamaMax|") and "inference.use" in line for line in cef)
    assert stranger_api.get(ask).getvalue() == b""
    assert owner_api.get(ask, {"form": "xml"}).status_code == 400


async def test_a_file_is_sent_as_it_is_written() -> None:
    """The second page is not read before the first one was sent, and no scope is open between them."""
    read: list[Any] = []

    def pages(last: Any) -> list[dict[str, Any]]:
        read.append((last, current_tenant().hex))
        return [{"a": len(read)}] if len(read) < 3 else []

    tenant = uuid7().hex
    sent = aiter(Export("x", "csv", ["a"], pages, tenant))
    assert await anext(sent) == b"a\r\n"
    assert await anext(sent) == b"1\r\n"
    assert read == [(None, tenant)]
    assert [part async for part in sent] == [b"2\r\n"]
    assert read[1:] == [({"a": 1}, tenant), ({"a": 2}, tenant)]

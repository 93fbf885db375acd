"""`/api/v1/usage` and `/api/v1/usage/totals`."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from ollamamax.kernel.ids import uuid7
from ollamamax.metering.models import UsageRecord
from tests.cast import Person
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
        "costs": [],
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

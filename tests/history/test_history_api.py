"""`/api/v1/history`: what the loops wrote, from Redis and from Postgres, for whom it is."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.history import drop_old, fold_history
from cluster.actions.node import Joined
from cluster.fleet_watch import FleetWatch
from cluster.models import HistoryRow
from ollamamax.bus import keys, regions
from ollamamax.contract import Gpu
from ollamamax.contract.history import HOUR
from ollamamax.contract.measured import Ended, EndedBatch, bucket, encode_ended
from ollamamax.identity.scope import every_tenant
from tests.cast import Person
from tests.cluster.conftest import Join, join, says

__all__ = ["join"]

pytestmark = pytest.mark.django_db(transaction=True)
HISTORY = "/api/v1/history"
NOON = 1_790_000_000 // 86_400 * 86_400 + 12 * HOUR


def record(valkey: redis.Redis, joined: Joined, times: list[float], *, tokens: int = 500) -> None:
    """At each of the times the node reports, and a request of its tenant has ended on it."""
    watch = FleetWatch()
    tenant, node = joined.node.tenant_id.hex, joined.node.id.hex
    for number, at in enumerate(times):
        card = Gpu(0, "T4", 50.0, 4, 16, 60.0, 70.0)
        says(valkey, joined, running=2, tokens_total=number * tokens, seq=number, gpus=[card])
        ended = Ended(tenant, "m:latest", node, ok=1, errors={"engine_failed": 1}, completion_tokens=10)
        ended.first_tokens = {bucket(100.0): 1}
        valkey.rpush(keys.ENDED, encode_ended(EndedBatch(at, [ended])))
        watch.look(valkey, now=at)


def asked(api: APIClient, *series: str, begin: float, end: float, **more: Any) -> Any:
    times = {
        name: datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()
        for name, at in (("since", begin), ("until", end))
    }
    return api.get(HISTORY, {"series": list(series), **times, **more})


def test_the_last_day_is_told_in_steps_of_ten_seconds(
    owner: Person, viewer_api: APIClient, join: Join, valkey: redis.Redis
) -> None:
    joined = join(owner)
    begin = int(time.time()) // 10 * 10 - 50
    record(valkey, joined, [begin + 10 * step for step in range(3)])
    names = ["tenant", f"node:{joined.node.id}", f"gpu:{joined.node.id}/0", "model:m:latest"]
    answer = asked(viewer_api, *names, begin=begin - 10, end=begin + 39, step=10).json()
    assert answer["step"] == 10
    tenant, node, card, model = answer["series"]
    assert tenant["at"] == [begin - 10, begin, begin + 10, begin + 20, begin + 30]
    assert tenant["values"]["running"] == [None, 2.0, 2.0, 2.0, None]
    assert tenant["values"]["capacity"] == [None, 4.0, 4.0, 4.0, None]
    assert node["values"]["tokens_per_second"] == [None, 0.0, 50.0, 50.0, None], "by its count of tokens"
    assert node["values"]["failed"] == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert node["failures"] == {"engine_failed": [0.0, 1.0, 1.0, 1.0, 0.0]}
    assert card["values"]["temperature_celsius"] == [None, 60.0, 60.0, 60.0, None]
    assert card["values"]["memory_percent"][1] == 25.0
    assert model["values"]["requests"] == [0.0, 2.0, 2.0, 2.0, 0.0]
    assert model["values"]["tokens_per_second"] == [0.0, 1.0, 1.0, 1.0, 0.0]
    times = model["values"]["first_token_p95_ms"]
    assert (times[0], times[4]) == (None, None)
    assert 84 <= times[1] <= 119


def test_hours_that_are_over_go_to_postgres_once_and_are_told_by_minute_and_hour(
    owner: Person, owner_api: APIClient, join: Join, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = join(owner)
    record(valkey, joined, [NOON + 1800 + 10 * step for step in range(12)])
    later = NOON + HOUR + 300
    monkeypatch.setattr(time, "time", lambda: later)
    node = f"node:{joined.node.id}"
    before = asked(owner_api, node, "tenant", begin=NOON, end=NOON + HOUR, step=60).json()["series"]
    raw = valkey.get(keys.history(NOON // HOUR, f"n:{joined.node.id.hex}")) or b""
    assert fold_history(regions.own(), now=NOON + HOUR) == 0, "the hour may still be written"
    assert fold_history(regions.own(), now=later) == 3
    assert fold_history(regions.own(), now=later) == 0
    # Killed before it was noted in Redis, it is done again.
    valkey.hset(keys.history_series(NOON // HOUR), f"n:{joined.node.id.hex}", joined.node.tenant_id.hex)
    assert fold_history(regions.own(), now=later) == 1
    assert len(valkey.get(keys.history(NOON // HOUR, f"n:{joined.node.id.hex}")) or b"") < len(raw)
    for name in [*valkey.keys("omx:history:*")]:
        assert valkey.ttl(name) > 0, "nothing stays for ever"
    fine = asked(owner_api, node, begin=NOON + 1800, end=NOON + 1919, step=10).json()["series"][0]
    assert fine["values"]["requests"] == [2.0] * 12, "the steps of ten seconds stay for a day"
    valkey.flushdb()
    after = asked(owner_api, node, "tenant", begin=NOON, end=NOON + HOUR, step=60).json()["series"]
    assert before == after
    values = dict(zip(after[0]["at"], after[0]["values"]["requests"], strict=True))
    assert (values[NOON + 1800], values[NOON + 1860], values[NOON]) == (12.0, 12.0, 0.0)
    (hours,) = asked(owner_api, node, begin=NOON - HOUR, end=NOON + HOUR, step=3600).json()["series"]
    assert hours["values"]["requests"] == [0.0, 24.0, 0.0]
    assert hours["values"]["running"] == [None, 2.0, None]


def test_what_is_too_old_is_dropped(owner: Person, join: Join, valkey: redis.Redis) -> None:
    joined = join(owner)
    record(valkey, joined, [float(NOON)])
    fold_history(regions.own(), now=NOON + 2 * HOUR)
    noon = datetime.datetime.fromtimestamp(NOON, datetime.UTC)

    def left() -> dict[int, int]:
        with every_tenant():
            return {step: HistoryRow.objects.filter(step=step).count() for step in (60, 3600)}

    assert left() == {60: 3, 3600: 3}
    assert drop_old(noon + datetime.timedelta(days=7)) == 0
    assert drop_old(noon + datetime.timedelta(days=9)) == 3
    assert left() == {60: 0, 3600: 3}
    assert drop_old(noon + datetime.timedelta(days=400)) == 3


def test_a_stranger_sees_nothing_and_too_much_is_refused(
    owner: Person,
    owner_api: APIClient,
    stranger_api: APIClient,
    anonymous_api: APIClient,
    join: Join,
    valkey: redis.Redis,
) -> None:
    joined = join(owner)
    begin = time.time() - 100
    record(valkey, joined, [begin])
    assert anonymous_api.get(HISTORY, {"series": "tenant"}).status_code == 401
    for name in (f"node:{joined.node.id}", f"gpu:{joined.node.id}/0"):
        assert stranger_api.get(HISTORY, {"series": name}).status_code == 404
    for name in ("tenant", "model:m:latest"):
        (series,) = stranger_api.get(HISTORY, {"series": name}).json()["series"]
        assert set(series["values"]["requests"]) == {0.0}
    tenant = joined.node.tenant_id.hex
    for name in ("", "node:x", "gpu:x", f"gpu:{joined.node.id}/x", "other", "model:", f"t:{tenant}"):
        assert owner_api.get(HISTORY, {"series": name}).status_code == 400, name
    assert owner_api.get(HISTORY).status_code == 400
    assert owner_api.get(HISTORY, {"series": ["tenant"] * 21}).status_code == 400
    year = begin - 366 * 86_400
    assert asked(owner_api, "tenant", begin=year, end=begin, step=10).status_code == 400
    assert asked(owner_api, "tenant", begin=begin, end=begin, step=7).status_code == 400
    assert asked(owner_api, "tenant", begin=begin, end=year, step=10).json()["series"][0]["at"] == []


@pytest.mark.parametrize(
    ("hours", "step"), [(1, 20), (0.5, 10), (24, 300), (7 * 24 - 1, 3600), (30 * 24, 10_800), (365 * 24, 86_400)]
)
def test_without_a_step_the_shortest_that_has_data_is_taken(
    owner_api: APIClient, hours: float, step: int, valkey: redis.Redis
) -> None:
    now = time.time() - 1
    assert asked(owner_api, "tenant", begin=now - hours * HOUR, end=now).json()["step"] == step

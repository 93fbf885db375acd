"""Rollouts with shadow traffic: compared by requests that both versions answered, shown to nobody, and a gate before the first weight."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from models_registry.models import RolloutAnswer
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.ids import new_id
from ollamamax.metering.actions import usage as metering
from ollamamax.metering.queries import totals
from tests.metering.records import wire
from tests.registry.test_api_releases import published
from tests.registry.test_api_rollouts import QUICK, Stage, stage

__all__ = ["stage"]
pytestmark = pytest.mark.django_db(transaction=True)
SHADOW = [{"share": 0.2, "seconds": 0, "requests": 10, "shadow": True}]


def paired(stage: Stage, count: int, *, same: bool | None = None, **new: Any) -> None:
    """So many requests that the old version answered, and the new one unseen."""
    records = []
    for _ in range(count):
        request = new_id()
        given = {"model": "tiny:latest", "node": stage.node, "first_token_ms": 10.0, "duration_ms": 90.0}
        records.append(wire(stage.owner.tenant, request=request, version=stage.second.digest, **given))
        shadow = {"shadow_of": request, "same_answer": same, "idle_only": True, "version": stage.first.digest}
        records.append(wire(stage.owner.tenant, **{**given, **shadow, **new}))
    metering.insert(records)


def test_a_rollout_of_shadow_traffic_compares_and_moves_nothing(stage: Stage, valkey: redis.Redis) -> None:
    made = stage.start(kind="shadow", steps=SHADOW).json()
    assert (made["kind"], made["shadow"]["old"]["answers"], made["shadow"]["old"]["failures"]) == ("shadow", 0, None)
    assert stage.now()["state"] == "running"
    trial = (published(valkey, stage.owner, "tiny:latest") or {})["trial"]
    assert (trial["share"], trial["shadow"]) == (0.0, 0.2)
    paired(stage, 4, same=True, completion_tokens=17)
    paired(stage, 2, same=False)
    paired(stage, 3)
    stage.answered(50, new=False)
    now = stage.now()
    assert (now["state"], now["why"]) == ("running", "9 of 10 answers of the new version.")
    told = now["shadow"]
    assert (told["compared"], told["same"], told["new"]["answers"], told["old"]["answers"]) == (6, 4, 9, 9)
    assert (told["old"]["first_token_ms"], told["old"]["tokens_per_second"]) == (9.0, 100.0)
    assert told["new"]["tokens"] == pytest.approx((4 * 17 + 5 * 9) / 9)
    assert stage.now()["shadow"] == told, "counted once, however often it is looked at"
    paired(stage, 1)
    now = stage.now()
    assert (now["state"], now["why"]) == ("done", "It is over, and the channel stays where it is.")
    assert now["shadow"]["new"]["answers"] == 10
    entry = published(valkey, stage.owner, "tiny:latest") or {}
    assert (entry["version"], entry.get("trial")) == (stage.second.digest, None)
    with every_tenant():
        assert not RolloutAnswer.objects.exists()


def test_one_whose_original_is_not_written_yet_waits_and_cancelled_ones_say_nothing(stage: Stage) -> None:
    stage.start(kind="shadow", steps=SHADOW)
    stage.now()
    given = {"model": "tiny:latest", "node": stage.node, "version": stage.first.digest}
    request = new_id()
    metering.insert([wire(stage.owner.tenant, shadow_of=request, **given)])
    assert stage.now()["shadow"]["new"]["answers"] == 0
    metering.insert([wire(stage.owner.tenant, request=request, **{**given, "version": stage.second.digest})])
    assert stage.now()["shadow"]["new"]["answers"] == 1
    paired(stage, 3, outcome="cancelled")
    assert stage.now()["shadow"]["new"]["answers"] == 1


def test_a_version_that_fails_unseen_is_taken_back_before_anybody_has_it(stage: Stage, valkey: redis.Redis) -> None:
    stage.start(steps=[*SHADOW, *QUICK])
    stage.now()
    paired(stage, 40, outcome="failed", status=500)
    now = stage.now()
    assert now["state"] == "rolled_back"
    assert "fails more often" in now["why"]
    assert (published(valkey, stage.owner, "tiny:latest") or {}).get("trial") is None


def test_the_share_of_same_answers_is_a_gate_before_the_first_weight(stage: Stage, valkey: redis.Redis) -> None:
    asked = {"same_answers": 0.9}
    stage.start(steps=[*SHADOW, *QUICK], gates=asked)
    stage.now()
    paired(stage, 10)
    now = stage.now()
    assert (now["state"], now["why"]) == (
        "running",
        "No data: both versions have answered no request at temperature 0.",
    )
    paired(stage, 9, same=True)
    paired(stage, 1, same=False)
    now = stage.now()
    assert (now["state"], now["step"], now["step_answers"]) == ("running", 1, 0)
    assert (published(valkey, stage.owner, "tiny:latest") or {})["trial"]["share"] == 0.5
    # What was compared before is not counted again, and stays to be read.
    assert (now["gates"][0]["old_answers"], now["shadow"]["compared"], now["shadow"]["same_answers"]) == (0, 10, 0.9)
    stage.answered(10, new=True)
    assert stage.now()["state"] == "done"


def test_too_few_same_answers_take_it_back(stage: Stage) -> None:
    stage.start(kind="shadow", steps=SHADOW, gates={"same_answers": 0.9})
    stage.now()
    paired(stage, 8, same=True)
    paired(stage, 2, same=False)
    now = stage.now()
    assert (now["state"], now["why"]) == (
        "rolled_back",
        "8 of 10 answers at temperature 0 are the same; at least 90.0% are asked for.",
    )
    assert stage.start(gates={"same_answers": 2}).status_code == 400


def test_no_sum_counts_a_shadow_and_the_list_of_requests_says_of_which_it_is_one(stage: Stage) -> None:
    paired(stage, 2, same=True)
    with every_tenant():
        assert totals().requests == 2
    rows = stage.api.get("/api/v1/usage").json()["results"]
    assert len(rows) == 4
    asked = {row["request"] for row in rows if row["shadow_of"] is None}
    assert {row["shadow_of"] for row in rows if row["shadow_of"] is not None} == asked
    groups = stage.api.get("/api/v1/usage/groups?by=model&by=key").json()["results"]
    assert sum(each["requests"] for each in groups) == 2

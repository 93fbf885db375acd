"""Who may not run a request, and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from cluster.scheduling.candidate import Candidate
from cluster.scheduling.eligibility import admissible, against, bar, can_hold, fits, memory_of
from ollamamax.contract import Engine, Gpu, ModelState, NodeState
from tests.scheduling.nodes import TENANT, candidates, node, wanted

GB = 10**9


def state(*models: ModelState, **changes: Any) -> NodeState:
    given: dict[str, Any] = {
        "node": "n",
        "tenant": "t",
        "boot": "b",
        "seq": 1,
        "at": 0.0,
        "agent_version": "1",
        "engines": [Engine("llamacpp", True)],
        "capacity": 4,
        "running": 0,
        "waiting": 0,
        "tokens_per_second": 0.0,
        "models": list(models),
        "cpu_percent": 0.0,
        "cpu_count": 1,
        "memory_used": 10 * GB,
        "memory_total": 16 * GB,
        "disk_used": 0,
        "disk_total": 0,
        "network_received_per_second": 0.0,
        "network_sent_per_second": 0.0,
    }
    return NodeState(**{**given, **changes})


def model(residence: Any = "ready", size: int | None = None, **changes: Any) -> ModelState:
    return ModelState("v", "m", residence, changes.pop("engine", "llamacpp"), size=size, **changes)


@pytest.mark.parametrize(
    ("changes", "this", "schedulable", "reason"),
    [
        ({}, model(), True, ""),
        ({}, model(), False, "draining"),
        ({"draining": True}, model(), True, "draining"),
        ({}, model("failed"), True, "failed"),
        ({}, model("fetching"), True, "fetching"),
        ({"capacity": 0}, model(), True, "no_slots"),
        ({"engines": [Engine("llamacpp", False)]}, model(), True, "engine"),
        ({"engines": [Engine("llamacpp", True), Engine("openai", False)]}, model(), True, ""),
        ({}, model(size=7 * GB), True, "memory"),
        ({}, model("loaded", size=7 * GB), True, ""),
    ],
)
def test_a_node_is_barred_for_everyone(
    changes: dict[str, Any], this: ModelState, schedulable: bool, reason: str
) -> None:
    said = state(this, **changes)
    assert bar(said, this, memory_of(said), schedulable=schedulable) == reason


@pytest.mark.parametrize(
    ("profile", "asked", "changes", "reason"),
    [
        ({}, None, {}, ""),
        ({}, None, {"bar": "memory"}, "memory"),
        ({}, None, {"tenant": "others"}, "tenant"),
        ({}, None, {"tenant": "others", "shared": True}, ""),
        ({}, None, {"tenant": "others", "shared": True, "access": frozenset({"third", TENANT})}, ""),
        ({}, None, {"tenant": "others", "shared": True, "access": frozenset({"third"})}, "tenant"),
        ({}, None, {"shared": True, "access": frozenset({"third"})}, ""),
        ({"regions": ("eu",)}, None, {"region": "eu"}, ""),
        ({"regions": ("eu",)}, None, {"region": "us"}, "region"),
        ({"regions": ("eu",)}, None, {}, "region"),
        ({"labels": {"gpu": "h200"}}, None, {"labels": {"gpu": "h200", "rack": "1"}}, ""),
        ({"labels": {"gpu": "h200"}}, None, {"labels": {"gpu": "l4"}}, "label"),
        ({"labels": {"gpu": "h200"}}, None, {}, "label"),
        ({"num_ctx": 4096, "outside": "route"}, 8192, {"context": 8192}, ""),
        ({"num_ctx": 4096, "outside": "route"}, 8192, {"context": 4096}, "context"),
        ({"num_ctx": 4096, "outside": "route"}, 8192, {"residence": "ready"}, "context"),
        ({"num_ctx": 4096, "outside": "route"}, 2048, {"context": 4096}, ""),
        ({"outside": "route"}, 8192, {"context": 4096}, ""),
        ({}, 8192, {"most_context": 4096}, "context"),
        ({}, 4096, {"most_context": 4096}, ""),
        ({"num_ctx": 8192}, None, {"most_context": 4096}, ""),
    ],
)
def test_a_candidate_is_ruled_out_for_a_request(
    profile: dict[str, Any], asked: int | None, changes: dict[str, Any], reason: str
) -> None:
    assert against(wanted(profile=profile, num_ctx=asked), node("a", **changes)) == reason


@given(candidates)
def test_who_is_admitted_is_who_nothing_speaks_against(found: list[Candidate]) -> None:
    asked = wanted("balanced")
    assert admissible(asked, found) == [each for each in found if not against(asked, each)]
    for each in admissible(asked, found):
        assert each.tenant == TENANT or (each.shared and each.access & {TENANT, "*"})


def test_what_others_hold_in_memory_can_be_put_out_for_it() -> None:
    this, other = model(size=7 * GB), ModelState("o", "o", "loaded", "llamacpp", memory=4 * GB)
    assert fits(memory_of(state(this, other)), this) is False
    assert can_hold(memory_of(state(this, other)), this) is True


def test_gpus_count_too() -> None:
    this = model(size=7 * GB)
    gpu = Gpu(0, "GPU", memory_used=1 * GB, memory_total=4 * GB)
    assert fits(memory_of(state(this, gpus=[gpu])), this) is True
    assert fits(memory_of(state(this, gpus=[Gpu(0, "GPU")])), this) is None


def test_what_is_not_known_rules_nobody_out() -> None:
    assert can_hold(memory_of(state()), model()) is None
    assert can_hold(memory_of(state()), model(engine="openai", size=900 * GB)) is None

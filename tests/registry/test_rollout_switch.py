"""Blue-green rollouts over the API and by their loop: loaded first, switched at once, compared with what was before, let go or taken back."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import redis

from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.rollout import run_rollouts
from models_registry.models import Channel, Rollout
from models_registry.queries.placement import planned
from ollamamax.audit.models import AuditRecord
from ollamamax.bus import keys
from ollamamax.contract import ModelState
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.cluster.conftest import says
from tests.registry.conftest import Publish, write_gguf
from tests.registry.test_api_placement import tasks
from tests.registry.test_api_releases import published
from tests.registry.test_api_rollouts import Stage, stage
from tests.registry.test_rollout_shadow import SHADOW, paired

__all__ = ["stage"]
pytestmark = pytest.mark.django_db(transaction=True)
HOLD = [{"share": 1, "seconds": 0, "requests": 40}]
Held = Literal["ready", "loading", "loaded"]
Tell = Callable[[Held, Held], None]


@pytest.fixture
def tell(stage: Stage, valkey: redis.Redis) -> Tell:
    """The node says in which state it has the old version and the new one."""
    seq = 1

    def do(old: Held, new: Held) -> None:
        nonlocal seq
        seq += 1
        models = [(stage.second, old), (stage.first, new)]
        said = [ModelState(version.digest, "tiny", state, "llamacpp") for version, state in models]
        says(valkey, stage.joined, *said, seq=seq)
        valkey.persist(keys.node_state(stage.node))
        reconcile_replicas()

    return do


def asked(valkey: redis.Redis, stage: Stage) -> list[tuple[str, str]]:
    """What the node was asked to load and to unload, in order."""
    names = {stage.first.digest: "new", stage.second.digest: "old"}
    found = [(name, names[str(told["version"])]) for name, told in reversed(tasks(valkey, stage.joined))]
    return [each for each in found if each[0] in {"load_model", "unload_model"}]


def pinned(stage: Stage) -> set[str]:
    with tenant_scope(stage.owner.tenant):
        return {each.digest for each in planned(stage.owner.tenant.id).versions if each.terms.pinned}


def begin(stage: Stage, **body: Any) -> Any:
    return stage.start(kind="blue_green", **{"steps": HOLD, **body})


def test_it_is_loaded_first_switched_at_once_held_and_the_old_version_is_let_go(
    stage: Stage, tell: Tell, valkey: redis.Redis
) -> None:
    tell("loaded", "ready")
    stage.answered(200, new=False)
    made = begin(stage).json()
    assert (made["kind"], made["state"], made["steps"][0]["share"]) == ("blue_green", "preloading", 1.0)
    now = stage.now()
    assert (now["state"], now["why"]) == ("preloading", "0 of 1 nodes have the new version in memory.")
    assert (published(valkey, stage.owner, "tiny:latest") or {}).get("trial") is None, "nobody has it yet"
    assert stage.now()["replicas"] == {"old": 1, "new": 1, "old_loaded": 1, "new_loaded": 0}
    assert asked(valkey, stage) == [("load_model", "new")], "asked once, however often it is looked at"
    tell("loaded", "loading")
    assert stage.now()["state"] == "preloading", "on its way is not there"
    tell("loaded", "loaded")
    now = stage.now()
    assert (now["state"], now["step"]) == ("running", 0)
    entry = published(valkey, stage.owner, "tiny:latest") or {}
    assert (entry["version"], entry["trial"]["share"]) == (stage.second.digest, 1.0)
    assert asked(valkey, stage)[1:] == [("load_model", "old")], "it stays where it is, though nobody asks for it"
    assert pinned(stage) == {stage.second.digest}, "no plan of placement takes it away meanwhile"
    failures = now["gates"][0]
    assert (failures["before"], failures["old_answers"], failures["new_answers"]) == (True, 200, 0)
    assert failures["blocks_left"] > 0
    stage.answered(39, new=True)
    now = stage.now()
    assert (now["state"], now["why"]) == ("running", "39 of 40 answers of the new version.")
    stage.answered(1, new=True)
    now = stage.now()
    assert now["state"] == "done"
    entry = published(valkey, stage.owner, "tiny:latest") or {}
    assert (entry["version"], entry.get("trial")) == (stage.first.digest, None)
    assert asked(valkey, stage)[2:] == [("unload_model", "old")]
    assert pinned(stage) == set()
    with every_tenant():
        told = list(AuditRecord.objects.filter(target_type="rollout").order_by("seq"))
    assert [each.action for each in told] == ["rollout.start", "rollout.step", "rollout.done"]
    assert {each.detail["kind"] for each in told} == {"blue_green"}
    assert (told[1].detail["before"], told[1].detail["after"]) == (0.0, 1.0)


def test_one_that_fails_after_the_switch_is_taken_back_by_what_was_measured_before_it(
    stage: Stage, tell: Tell, valkey: redis.Redis
) -> None:
    tell("loaded", "loaded")
    stage.answered(300, new=False)
    begin(stage, steps=[{"share": 1, "seconds": 3600, "requests": 40}])
    assert stage.now()["state"] == "running"
    # Answers of the old version that end after the switch are not compared.
    stage.answered(40, new=False, outcome="failed", status=500)
    stage.answered(40, new=True, outcome="failed", status=500)
    now = stage.now()
    assert now["state"] == "rolled_back"
    assert (
        "100.0 % failed in 40 answers, 0.0 % failed of the old one in 300 answers from before the switch" in now["why"]
    )
    entry = published(valkey, stage.owner, "tiny:latest") or {}
    assert (entry["version"], entry.get("trial")) == (stage.second.digest, None)
    assert asked(valkey, stage) == [("load_model", "old")], "another name points at the new version still"
    with every_tenant():
        assert AuditRecord.objects.get(action="rollout.rolled_back").detail["why"] == now["why"]


def test_it_says_when_the_old_version_is_loaded_no_more_and_can_be_taken_back_all_the_same(
    stage: Stage, tell: Tell, valkey: redis.Redis
) -> None:
    tell("loaded", "loaded")
    begin(stage)
    stage.now()
    tell("ready", "loaded")
    now = stage.now()
    assert now["replicas"]["old_loaded"] == 0
    said = [each["what"] for each in now["events"] if "no node's memory any more" in each["what"]]
    assert len(said) == 1
    assert [each["what"] for each in stage.now()["events"] if "no node's memory" in each["what"]] == said, "said once"
    assert stage.act("roll-back", reason="no").json()["state"] == "rolled_back"
    assert (published(valkey, stage.owner, "tiny:latest") or {}).get("trial") is None


def test_what_was_asked_of_nodes_is_asked_again_where_it_was_lost(
    stage: Stage, tell: Tell, valkey: redis.Redis
) -> None:
    """As with a controller that was killed, or a Redis that lost it, between the switch or the end and the message."""

    def lost() -> None:
        valkey.delete(keys.node_queue(stage.node), *valkey.keys("omx:placement:*:asked"))

    tell("loaded", "loaded")
    begin(stage)
    assert stage.now()["state"] == "running"
    lost()
    stage.now()
    assert asked(valkey, stage) == [("load_model", "old")]
    lost()
    stage.answered(40, new=True)
    assert stage.now()["state"] == "done"
    stage.now()
    assert asked(valkey, stage) == [("unload_model", "old")], "asked once"
    lost()
    stage.now()
    assert asked(valkey, stage) == [("unload_model", "old")]
    lost()
    tell("ready", "loaded")
    stage.now()
    assert asked(valkey, stage) == []


def test_a_version_that_another_rollout_is_about_stays_in_memory(
    stage: Stage, tell: Tell, valkey: redis.Redis, publish: Publish, tmp_path: Path
) -> None:
    third = publish(stage.owner, "tiny:third", file=write_gguf(tmp_path / "third.gguf", size=48))
    tell("loaded", "loaded")
    begin(stage)
    assert stage.now()["state"] == "running"
    with every_tenant():
        channel = Channel.objects.get(name="third")
        Rollout.objects.create(
            tenant_id=stage.owner.tenant.id,
            channel=channel,
            from_version=third.digest,
            to_version=stage.second.digest,
            kind="blue_green",
            steps=HOLD,
            gates={},
        )
    valkey.delete(keys.node_queue(stage.node))
    stage.answered(40, new=True)
    run_rollouts()
    with every_tenant():
        assert Rollout.objects.get(channel__name="latest").state == "done"
    assert ("unload_model", "old") not in asked(valkey, stage)


def test_without_anything_from_before_no_gate_closes_and_people_switch_and_end_it(
    stage: Stage, tell: Tell, valkey: redis.Redis
) -> None:
    tell("loaded", "ready")
    begin(stage)
    assert stage.now()["state"] == "preloading"
    assert stage.act("advance").json()["state"] == "running", "a person does not wait for memory"
    stage.answered(30, new=True, outcome="failed", status=500)
    now = stage.now()
    assert (now["state"], now["gates"][0]["old_mean"], now["gates"][0]["blocks_left"]) == ("running", None, 0)
    assert stage.act("pause").json()["state"] == "paused"
    assert (published(valkey, stage.owner, "tiny:latest") or {})["trial"]["share"] == 1.0
    assert stage.act("advance").json()["state"] == "done"


def test_what_is_older_than_a_day_or_of_another_name_is_not_compared_with(stage: Stage, tell: Tell) -> None:
    tell("loaded", "loaded")
    stage.answered(50, new=False, model="tiny:other")
    stage.answered(50, new=False, received_at=time.time() - 90_000)
    stage.answered(50, new=False, outcome="cancelled")
    stage.answered(30, new=False)
    stage.answered(30, new=False, model="tiny")  # as the client named it
    begin(stage)
    assert stage.now()["gates"][0]["old_answers"] == 60


def test_what_shadow_traffic_compared_is_not_compared_a_second_time_after_the_switch(stage: Stage, tell: Tell) -> None:
    tell("loaded", "loaded")
    stage.answered(30, new=False)
    begin(stage, steps=[*SHADOW, *HOLD])
    stage.now()
    paired(stage, 10)
    stage.answered(20, new=False)
    now = stage.now()
    assert (now["step"], now["gates"][0]["before"], now["gates"][0]["old_answers"]) == (1, True, 50)


def test_while_no_node_is_heard_nothing_is_switched(stage: Stage, tell: Tell, valkey: redis.Redis) -> None:
    tell("loaded", "loaded")
    valkey.delete(keys.node_state(stage.node))
    begin(stage)
    assert stage.now()["why"] == "No node tells what it has in memory."


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "blue_green", "steps": [{"share": 0.5}, {"share": 1}]},
        {"kind": "blue_green", "steps": [{"share": 0.5}]},
        {"kind": "shadow", "steps": [{"share": 1}]},
        {"kind": "green"},
        {"steps": [{"share": 0.5, "shadow": "much"}, {"share": 1}]},
        {"steps": [{"share": 0.5}, {"share": 0.1, "shadow": True}, {"share": 1}]},
    ],
)
def test_steps_that_its_kind_cannot_have_are_refused(stage: Stage, body: dict[str, Any]) -> None:
    assert stage.start(**body).status_code == 400
    assert stage.api.get("/api/v1/rollouts").json()["results"] == []

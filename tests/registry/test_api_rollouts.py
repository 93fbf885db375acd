"""Rollouts over the API and by their loop: begun, stepped by what was measured, paused, taken back, superseded."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from rest_framework.test import APIClient

from cluster.actions.node import Joined
from cluster.models import Node
from models_registry.actions.replica import reconcile_replicas
from models_registry.actions.rollout import run_rollouts
from models_registry.actions.version import publish_gguf
from models_registry.models import Channel, Release, Rollout, RolloutAnswer
from ollamamax.audit.models import AuditRecord
from ollamamax.contract import ModelState
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.ids import new_id
from ollamamax.metering.actions import usage as metering
from tests.cast import Person, logged_in, make_person
from tests.cluster.conftest import Join, says
from tests.metering.records import wire
from tests.registry.conftest import Publish, write_gguf
from tests.registry.test_api_releases import Shelf, post, published

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = [{"share": 0.5, "seconds": 0, "requests": 10}, {"share": 1.0, "seconds": 0, "requests": 0}]


class Stage(Shelf):
    """`Shelf` with a node that has both versions; ``latest`` points at the second, and the first is rolled out."""

    joined: Joined

    @property
    def node(self) -> str:
        return self.joined.node.id.hex

    def start(self, **body: Any) -> Any:
        return post(self.api, f"{self.channel()}/rollouts", version=self.first.digest, **{"steps": QUICK, **body})

    def now(self) -> dict[str, Any]:
        run_rollouts()
        newest: dict[str, Any] = self.api.get("/api/v1/rollouts").json()["results"][0]
        return newest

    def act(self, what: str, **body: Any) -> Any:
        return post(self.api, f"/api/v1/rollouts/{self.now()['id']}/{what}", **body)

    def answered(self, count: int, *, new: bool, **changes: Any) -> None:
        version = (self.first if new else self.second).digest
        given = {"model": "tiny:latest", "version": version, "node": self.node, "first_token_ms": 100.0, **changes}
        metering.insert([wire(self.owner.tenant, **given) for _ in range(count)])


@pytest.fixture
def stage(
    owner: Person, owner_api: APIClient, publish: Publish, tmp_path: Path, join: Join, valkey: redis.Redis
) -> Stage:
    first = publish(owner, "tiny:1b", "latest")
    second = publish(owner, "tiny:latest", file=write_gguf(tmp_path / "other.gguf", size=16))
    stage = Stage(owner, owner_api, first, second)
    stage.joined = join(owner)
    says(valkey, stage.joined, *[ModelState(each.digest, "tiny", "ready", "llamacpp") for each in (first, second)])
    reconcile_replicas()
    return stage


def test_a_channel_is_moved_in_steps_while_the_new_version_is_no_worse(stage: Stage, valkey: redis.Redis) -> None:
    made = stage.start(reason="better")
    assert (made.status_code, made.json()["state"]) == (201, "preloading")
    with every_tenant():
        assert {each.stage for each in Release.objects.all()} == {"staged"}
    now = stage.now()
    assert (now["state"], now["step"]) == ("running", 0)
    entry = published(valkey, stage.owner, "tiny:latest") or {}
    assert entry["version"] == stage.second.digest
    assert entry["trial"] == {
        "rollout": uuid.UUID(now["id"]).hex,
        "share": 0.5,
        "name": f"tiny@{stage.first.digest}",
    }
    stage.answered(9, new=True)
    stage.answered(30, new=False)
    now = stage.now()
    assert (now["state"], now["why"]) == ("running", "9 of 10 answers of the new version.")
    # Counted once, however often it is looked at.
    assert stage.now()["step_answers"] == 9
    assert (now["gates"][0]["old_answers"], now["gates"][0]["new_answers"]) == (30, 9)
    stage.answered(1, new=True)
    assert stage.now()["state"] == "done"
    entry = published(valkey, stage.owner, "tiny:latest") or {}
    assert (entry["version"], entry.get("trial")) == (stage.first.digest, None)
    moves = stage.api.get(f"{stage.channel()}/moves").json()["results"]
    assert moves[0]["reason"] == f"rollout {stage.now()['id']}"
    with every_tenant():
        assert not RolloutAnswer.objects.exists()
        told = list(AuditRecord.objects.filter(target_type="rollout").order_by("id").values_list("action", flat=True))
    assert told == ["rollout.start", "rollout.step", "rollout.done"]


def test_a_version_that_fails_is_taken_back_and_the_channel_never_moved(stage: Stage, valkey: redis.Redis) -> None:
    stage.start()
    stage.now()
    stage.answered(40, new=False)
    stage.answered(40, new=True, outcome="failed", status=500)
    now = stage.now()
    assert now["state"] == "rolled_back"
    assert "fails more often" in now["why"]
    gate = now["gates"][0]
    assert (gate["old_mean"], gate["new_mean"]) == (0.0, 1.0)
    assert gate["evidence"] >= gate["closes_at"]
    entry = published(valkey, stage.owner, "tiny:latest") or {}
    assert (entry["version"], entry.get("trial")) == (stage.second.digest, None)


def test_what_says_nothing_about_a_version_is_not_held_against_it(stage: Stage) -> None:
    stage.start(steps=[{"share": 0.5, "seconds": 0, "requests": 1000}, {"share": 1}])
    stage.now()
    stage.answered(60, new=False)
    stage.answered(60, new=True, outcome="cancelled")
    stage.answered(60, new=True, outcome="gateway_lost")
    stage.answered(60, new=True, outcome="failed", status=400)
    stage.answered(60, new=True, outcome="failed", status=500, model="tiny:other")
    stage.answered(60, new=True, outcome="failed", status=500, received_at=time.time() - 3600)
    assert stage.now()["state"] == "running"
    assert stage.now()["step_answers"] == 60


def test_a_pause_keeps_the_share_and_the_gates(stage: Stage, valkey: redis.Redis) -> None:
    stage.start()
    assert stage.act("pause").json()["state"] == "paused"
    assert stage.act("pause").json()["state"] == "paused"
    stage.answered(10, new=True)
    stage.answered(10, new=False)
    assert stage.now()["state"] == "paused"
    assert (published(valkey, stage.owner, "tiny:latest") or {})["trial"]["share"] == 0.5
    assert stage.act("resume").json()["state"] == "running"
    assert stage.now()["state"] == "done"
    for act in ("pause", "resume", "advance", "roll-back"):
        assert stage.act(act).status_code == 409


def test_one_that_cannot_be_looked_at_keeps_no_other_from_going_on(stage: Stage) -> None:
    with every_tenant():
        channel = Channel.objects.get(name="1b")
        Rollout.objects.create(
            tenant_id=stage.owner.tenant.id,
            channel=channel,
            from_version=channel.version.digest,
            to_version=stage.second.digest,
            steps=QUICK,
            gates={},
            progress={"step": "none"},
        )
    stage.start()
    with pytest.raises(msgspec.ValidationError):
        run_rollouts()
    with every_tenant():
        assert Rollout.objects.get(channel__name="latest").state == "running"


def test_people_take_the_next_step_and_take_it_back(stage: Stage, valkey: redis.Redis) -> None:
    stage.start()
    assert stage.act("roll-back", reason="no").json()["why"] == "no"
    assert stage.act("roll-back").status_code == 200
    assert (published(valkey, stage.owner, "tiny:latest") or {}).get("trial") is None
    stage.start()
    stage.now()
    done = stage.act("advance")
    assert done.json()["state"] == "done"
    assert (published(valkey, stage.owner, "tiny:latest") or {})["version"] == stage.first.digest


def test_it_waits_until_nodes_have_the_version_and_ends_when_none_has_it_any_more(
    stage: Stage, join: Join, valkey: redis.Redis, tmp_path: Path
) -> None:
    third = publish_gguf(
        acting=stage.owner.acting, file=write_gguf(tmp_path / "third.gguf", size=32), name="tiny:x", aliases=()
    )
    started = post(stage.api, f"{stage.channel()}/rollouts", version=third.digest, steps=QUICK)
    assert started.status_code == 201
    assert stage.now()["why"] == "0 of 1 nodes have the new version."
    with every_tenant():
        Rollout.objects.update(state="running")
    now = stage.now()
    assert (now["state"], now["why"]) == ("rolled_back", "No node has the new version any more.")


@pytest.mark.parametrize("away", ["unreachable", "lost"])
def test_nodes_that_are_not_heard_any_more_have_no_version(
    stage: Stage, join: Join, valkey: redis.Redis, away: str
) -> None:
    """Neither does a rollout wait for them, nor does one stay whose new version they alone have."""

    def one(which: Node, state: str) -> None:
        with every_tenant():
            Node.objects.filter(pk=which.pk).update(lifecycle=state)

    other = join(stage.owner, "gpu-2")
    says(valkey, other, ModelState(stage.second.digest, "tiny", "ready", "llamacpp"))
    reconcile_replicas()
    stage.start()
    assert stage.now()["why"] == "1 of 2 nodes have the new version."
    one(other.node, away)
    assert stage.now()["state"] == "running"
    one(stage.joined.node, away)
    assert stage.now()["state"] == "running", "no node is better off with the old one"
    one(other.node, "ready")
    now = stage.now()
    assert (now["state"], now["why"]) == ("rolled_back", "No node has the new version any more.")


def test_a_channel_under_rollout_is_not_moved_by_hand_and_its_versions_stay(stage: Stage) -> None:
    stage.start()
    stage.now()
    assert stage.start().status_code == 409
    moved = post(stage.api, f"{stage.channel()}/moves", version=stage.first.digest)
    assert moved.status_code == 409
    assert "roll that back" in moved.json()["detail"]
    assert stage.bring(stage.first, "draft").status_code == 409
    uses = stage.api.get(stage.release(stage.first)).json()["uses"]
    assert "a rollout of the channel 'latest' has it" in uses
    assert stage.api.delete(stage.release(stage.first)).status_code == 409
    assert stage.api.delete(stage.channel()).status_code == 409, "what it knows would go with it"
    assert stage.act("roll-back").status_code == 200
    assert stage.api.delete(stage.channel()).status_code == 204


def test_a_channel_that_a_job_moved_ends_the_rollout(stage: Stage, publish: Publish, tmp_path: Path) -> None:
    stage.start()
    stage.now()
    publish(stage.owner, "tiny:latest", file=write_gguf(tmp_path / "third.gguf", size=32))
    assert stage.now()["state"] == "superseded"


@pytest.mark.parametrize(
    "body",
    [
        {"version": "sha256:" + "0" * 64},
        {"version": "latest"},
        {"steps": []},
        {"steps": [{"share": 0.5}]},
        {"steps": [{"share": 2}]},
        {"steps": [{"share": 0.1, "seconds": -1}, {"share": 1}]},
        {"steps": [{"share": "much"}]},
        {"steps": [{"share": 0.1, "unknown": 1}, {"share": 1}]},
        {"steps": [{"share": 1}] * 30},
        {"gates": {"failures": 3}},
        {"gates": {"unknown": 3}},
    ],
)
def test_what_cannot_be_is_refused_and_nothing_begins(stage: Stage, body: dict[str, Any]) -> None:
    answer = stage.start(**body) if "version" not in body else post(stage.api, f"{stage.channel()}/rollouts", **body)
    assert 400 <= answer.status_code < 500
    assert stage.api.get("/api/v1/rollouts").json()["results"] == []


def test_another_tenant_and_a_viewer_change_nothing(stage: Stage, stranger: Person) -> None:
    stage.start()
    known = f"/api/v1/rollouts/{stage.now()['id']}"
    other, viewer = logged_in(stranger), logged_in(make_person(stage.owner.tenant, "looks", "viewer"))
    assert other.get("/api/v1/rollouts").json()["results"] == []
    assert other.get(known).status_code == other.get(f"{stage.channel()}/rollouts").status_code == 404
    assert viewer.get(known).status_code == 200
    for act in ("pause", "resume", "advance", "roll-back"):
        assert post(other, f"{known}/{act}").status_code == 404
        assert post(viewer, f"{known}/{act}").status_code == 403
    assert post(viewer, f"{stage.channel()}/rollouts", version=stage.first.digest).status_code == 403
    assert stage.now()["state"] == "running"


def test_a_protected_channel_takes_production_and_is_rolled_by_who_may_promote(stage: Stage) -> None:
    stage.bring(stage.second, "staged", "production")
    stage.api.put(f"{stage.channel()}/protection", {"protected": True}, format="json")
    assert stage.start().status_code == 409
    stage.bring(stage.first, "staged", "production")
    developer = logged_in(make_person(stage.owner.tenant, "dev", "developer"))
    body = {"version": stage.first.digest, "steps": QUICK}
    assert post(developer, f"{stage.channel()}/rollouts", **body).status_code == 403
    assert stage.start().status_code == 201


def test_requests_of_a_rollout_are_known_by_their_ids_alone(stage: Stage) -> None:
    """The same record written again, as after a crash, is one answer."""
    stage.start()
    stage.now()
    again = wire(stage.owner.tenant, request=new_id(), model="tiny:latest", version=stage.first.digest, node=stage.node)
    for _ in range(2):
        metering.insert([again])
        assert stage.now()["step_answers"] == 1


def test_a_channel_is_not_protected_while_a_version_that_nobody_approved_is_on_its_way_to_it(stage: Stage) -> None:
    stage.bring(stage.second, "staged", "production")
    assert stage.start().status_code == 201
    protect = f"{stage.channel()}/protection"
    assert stage.api.put(protect, {"protected": True}, format="json").status_code == 409
    assert stage.act("roll-back").status_code == 200
    assert stage.api.put(protect, {"protected": True}, format="json").status_code == 200
    assert stage.start().status_code == 409

"""A rollout whose gate is an evaluation: held while there is no data, gone on with it, taken back for it, and refused from the start."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from models_registry.models import Release
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.scope import every_tenant, tenant_scope
from tests.cast import Person, logged_in
from tests.evaluations.conftest import exact, says
from tests.evaluations.test_api_evaluations import completed, made
from tests.registry.test_api_rollouts import QUICK, Stage, stage

__all__ = ["stage"]
pytestmark = pytest.mark.django_db(transaction=True)
BLOCKS = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROLLOUTS = Path(__file__).parents[2] / "docs" / "rollouts.md"


def release_of(stage: Stage, digest: str) -> Release:
    with tenant_scope(stage.owner.tenant):
        return Release.objects.select_related("model", "version").get(version__digest=digest)


def gate(suite: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"failures": 0.005, "evaluation": {"suite": suite["id"], **more}}


def test_it_is_held_without_data_and_no_person_takes_the_step_that_the_gate_is_asked_for(stage: Stage) -> None:
    suite = made(stage.api)
    started = stage.start(gates=gate(suite, least_score=0.9, from_share=1.0))
    assert started.status_code == 201, started.content
    told = started.json()["evaluation"]
    assert (told["state"], told["suite_name"], told["new"], told["old"]) == ("waiting", "s", None, None)
    assert stage.now()["state"] == "running", "the first step is below the share from which it is asked for"
    stage.answered(10, new=True)
    now = stage.now()
    assert (now["state"], now["step"]) == ("running", 0)
    assert now["why"] == "No data: the new version has no completed evaluation by the suite 's'."
    refused = stage.act("advance")
    assert refused.status_code == 409
    assert "No data" in refused.json()["detail"]
    assert stage.api.delete(f"/api/v1/evaluation-suites/{suite['id']}").status_code == 409
    easier = stage.api.patch(
        f"/api/v1/evaluation-suites/{suite['id']}", {"cases": [says("y", exact("y"))]}, format="json"
    )
    assert (easier.status_code, "under way" in easier.json()["detail"]) == (409, True), (
        "or the gate would be another one"
    )
    new = release_of(stage, stage.first.digest)
    # A result of other cases than the suite has now is no data either.
    completed(stage.owner, new, suite | {"digest": f"sha256:{'0' * 64}"}, 9)
    assert "were changed since" in stage.now()["why"]
    completed(stage.owner, new, suite, 9)
    now = stage.now()
    assert now["state"] == "done"
    assert now["evaluation"]["new"] == {"score": 0.9, "passed": 9, "total": 10, "current": True}
    told = [each["what"].split(":")[0] for each in now["events"] if each["what"].startswith("gate")]
    assert told == ["gate evaluation waiting", "gate evaluation waiting", "gate evaluation passed"]
    assert stage.api.delete(f"/api/v1/evaluation-suites/{suite['id']}").status_code == 204
    with every_tenant():
        done = AuditRecord.objects.order_by("-seq").get(action="rollout.done")
        [step] = AuditRecord.objects.filter(action="rollout.step")
    assert (step.detail["before"], step.detail["after"]) == (0.0, QUICK[0]["share"])
    kept = done.detail["evaluation"]
    assert (kept["state"], kept["new"], kept["least_score"], kept["suite_name"]) == ("passed", 0.9, 0.9, "s")


def test_before_any_step_it_waits_for_both_versions_and_is_taken_back_when_the_new_one_is_behind(stage: Stage) -> None:
    suite = made(stage.api)
    assert stage.start(gates=gate(suite, margin=0.1)).status_code == 201
    assert stage.now()["state"] == "preloading"
    new, old = (release_of(stage, each.digest) for each in (stage.first, stage.second))
    completed(stage.owner, new, suite, 8)
    now = stage.now()
    assert (now["state"], now["why"]) == (
        "preloading",
        "No data: the old version has no completed evaluation by the suite 's'.",
    )
    assert stage.act("advance").status_code == 409
    completed(stage.owner, old, suite, 9)
    assert stage.now()["state"] == "running"
    completed(stage.owner, new, suite, 7)
    now = stage.now()
    assert now["state"] == "rolled_back"
    assert "70.0% (7 of 10 cases) in the suite 's', the old one 90.0%" in now["why"]
    with every_tenant():
        record = AuditRecord.objects.get(action="rollout.rolled_back")
    assert record.detail["why"] == now["why"]
    assert (record.detail["evaluation"]["new"], record.detail["evaluation"]["old"]) == (0.7, 0.9)
    # What is known to be behind is not begun again.
    refused = stage.start(gates=gate(suite, margin=0.1))
    assert (refused.status_code, refused.json()["param"]) == (409, "gates")
    assert stage.start(gates=gate(suite, margin=0.2)).status_code == 201


def test_a_gate_that_cannot_be_is_refused_and_so_is_another_tenants_suite(stage: Stage, stranger: Person) -> None:
    suite, foreign = made(stage.api), made(logged_in(stranger))
    assert stage.start(gates=gate(suite)).json()["param"] == "gates"
    assert stage.start(gates=gate(suite, least_score=2)).status_code == 400
    assert stage.start(gates=gate(suite, least_score=0.5, unknown=1)).status_code == 400
    assert stage.start(gates={"evaluation": {"suite": "s", "least_score": 0.5}}).status_code == 400
    assert stage.start(gates=gate(foreign, least_score=0.5)).status_code == 404
    assert stage.api.get("/api/v1/rollouts").json()["results"] == []
    written = json.loads(
        next(each for each in BLOCKS.findall(ROLLOUTS.read_text()) if each.startswith('{"evaluation"'))
    )
    written["evaluation"]["suite"] = suite["id"]
    begun = stage.start(steps=QUICK, gates=written).json()
    assert (begun["evaluation"]["margin"], begun["evaluation"]["from_share"]) == (0.05, 0.25)
    assert stage.act("roll-back").status_code == 200
    started = stage.start(steps=QUICK, gates={"evaluation": None})
    assert (started.status_code, started.json()["evaluation"]) == (201, None)

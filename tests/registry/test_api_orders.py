"""`/api/v1/models` and `/jobs`: models are pulled, made, copied and deleted by the management API, and jobs tried again."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from models_registry.actions import job as jobs
from models_registry.jobs.work import SPEED_SECONDS, Work
from models_registry.models import Channel, Job, Version
from ollamamax.audit.models import AuditRecord
from ollamamax.identity.scope import every_tenant
from ollamamax.kernel.errors import EngineFailed
from tests.cast import Person
from tests.registry.conftest import Publish
from tests.registry.test_api_models import MODELS, address

pytestmark = pytest.mark.django_db(transaction=True)
JOBS = "/api/v1/jobs"


def post(api: APIClient, where: str, **body: Any) -> Any:
    return api.post(where, body, format="json")


def names(api: APIClient) -> set[str]:
    return {row["name"] for row in api.get(MODELS).json()["results"]}


def test_a_model_is_pulled_by_name_as_a_job_that_is_begun_once(owner: Person, owner_api: APIClient) -> None:
    first = post(owner_api, f"{MODELS}/pull", model="smollm2:135m")
    assert first.status_code == 202
    assert (first.json()["kind"], first.json()["model"], first.json()["state"]) == ("pull", "smollm2:135m", "waiting")
    assert post(owner_api, f"{MODELS}/pull", model="smollm2:135m").json()["id"] == first.json()["id"]
    with every_tenant():
        assert Job.objects.get().request["host"] == "registry.ollama.ai"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "not a name"}, 400),
        ({"model": "evil.example/a/b"}, 403),
        ({"model": ""}, 400),
        ({"model": "m", "colour": "red"}, 400),
        ({}, 400),
    ],
)
def test_what_cannot_be_pulled_is_refused(owner_api: APIClient, body: dict[str, str], status: int) -> None:
    assert post(owner_api, f"{MODELS}/pull", **body).status_code == status
    assert owner_api.get(JOBS).json()["results"] == []


def test_a_model_is_made_of_another_with_the_checks_of_ollamas_create(
    owner: Person, owner_api: APIClient, publish: Publish
) -> None:
    publish(owner)
    made = post(owner_api, f"{MODELS}/create", model="poet", **{"from": "tiny:1b"}, parameters={"temperature": 0.2})
    assert (made.status_code, made.json()["kind"], made.json()["model"]) == (202, "create", "poet:latest")
    with every_tenant():
        wanted = {"model": "poet:latest", "from": "tiny:1b", "parameters": {"temperature": 0.2}}
        assert Job.objects.get().request == wanted
    assert post(owner_api, f"{MODELS}/create", model="poet").status_code == 400
    refused = post(owner_api, f"{MODELS}/create", model="poet", **{"from": "tiny:1b"}, parameters={"temperature": "x"})
    assert refused.status_code == 400


def test_a_copy_is_a_further_name_and_takes_no_name_away(owner: Person, owner_api: APIClient, publish: Publish) -> None:
    publish(owner)
    publish(owner, "taken")
    made = post(owner_api, f"{address(owner_api)}/copy", name="twin")
    assert (made.status_code, made.json()["name"]) == (201, "twin:latest")
    assert names(owner_api) == {"tiny:1b", "twin:latest", "taken:latest"}
    with every_tenant():
        Version.objects.create(
            tenant=owner.tenant, digest="sha256:" + "0" * 64, source="external", manifest={}, size=1, details={}
        )
        other = Version.objects.get(digest="sha256:" + "0" * 64)
        Channel.objects.filter(model__name="taken").update(version=other)
    refused = post(owner_api, f"{address(owner_api)}/copy", name="taken")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_what_uses_a_model_is_told_and_keeps_it_from_being_deleted(
    owner: Person, owner_api: APIClient, publish: Publish
) -> None:
    publish(owner, "tiny:1b", "latest")
    publish(owner, "other")
    where = address(owner_api)
    post(owner_api, "/api/v1/aliases", name="gpt-4o", target="tiny:1b")
    owner_api.patch(address(owner_api, "other:latest"), {"fallbacks": [{"model": "tiny:1b"}]}, format="json")
    uses = owner_api.get(f"{where}/uses").json()
    assert (uses["aliases"], uses["fallbacks"]) == (["gpt-4o:latest"], ["other"])
    assert (uses["running"], uses["shared"], uses["by_engines"]) == (0, False, False)
    assert "tiny:latest" in uses["names"]
    refused = owner_api.delete(where)
    assert refused.status_code == 409
    assert "gpt-4o:latest" in refused.json()["detail"]
    assert owner_api.delete(f"{where}?force=true").status_code == 204
    assert names(owner_api) == {"tiny:latest", "other:latest"}
    assert AuditRecord.objects.filter(action="model.delete").count() == 1


def test_a_model_that_engines_keep_is_deleted_by_a_job(owner: Person, owner_api: APIClient, publish: Publish) -> None:
    publish(owner)
    with every_tenant():
        other = Version.objects.create(
            tenant=owner.tenant, digest="sha256:" + "0" * 64, source="external", manifest={}, size=1, details={}
        )
        Channel.objects.update(version=other)
    answer = owner_api.delete(address(owner_api))
    assert (answer.status_code, answer.json()["kind"]) == (202, "delete")


def test_strangers_and_those_who_only_look_change_nothing(
    owner: Person, owner_api: APIClient, member_api: APIClient, stranger_api: APIClient, publish: Publish
) -> None:
    publish(owner)
    where = address(owner_api)
    for api, status in ((member_api, 403), (stranger_api, 404)):
        assert api.delete(where).status_code == status
        assert post(api, f"{where}/copy", name="mine").status_code == status
    assert post(member_api, f"{MODELS}/pull", model="m").status_code == 403
    assert stranger_api.get(f"{where}/uses").status_code == 404
    assert names(owner_api) == {"tiny:1b"}


def test_a_job_that_failed_is_tried_again_and_one_that_did_not_is_not(
    owner: Person, owner_api: APIClient, stranger_api: APIClient
) -> None:
    job = jobs.submit_job(acting=owner.acting, kind="pull", model="m:1", request={"model": "m:1"})
    where = f"{JOBS}/{job.id}/retry"
    assert post(owner_api, where).status_code == 409
    jobs.claim_job("a")
    jobs.finish_job(job.id, "a", [], EngineFailed("The disk is full."))
    assert post(stranger_api, where).status_code == 404
    again = post(owner_api, where)
    assert again.status_code == 202
    assert (again.json()["id"] != str(job.id), again.json()["state"]) == (True, "waiting")
    assert post(owner_api, where).json()["id"] == again.json()["id"]
    with every_tenant():
        assert Job.objects.get(pk=again.json()["id"]).request == {"model": "m:1"}
    told = AuditRecord.objects.filter(action="job.retry").order_by("seq")
    assert [each.detail["joined"] for each in told] == [False, True]


def test_a_job_says_how_far_it_is_how_fast_and_how_long_it_takes_still(
    owner: Person, owner_api: APIClient, valkey: redis.Redis
) -> None:
    job = jobs.submit_job(acting=owner.acting, kind="pull", model="m:1", request={"model": "m:1"})
    parts: list[dict[str, Any]] = [
        {"status": "pulling manifest"},
        {"status": "pulling a", "digest": "a", "total": 100, "completed": 100},
        {"status": "pulling b", "digest": "b", "total": 300, "completed": 100},
    ]
    jobs.claim_job("a")
    jobs.renew_job(job.id, "a", parts, 50.0)
    one = owner_api.get(f"{JOBS}/{job.id}").json()
    assert (one["bytes_done"], one["bytes_total"], one["bytes_per_second"], one["seconds_left"]) == (200, 400, 50, 4)
    jobs.finish_job(job.id, "a", parts)
    assert owner_api.get(f"{JOBS}/{job.id}").json()["bytes_per_second"] is None
    assert [row["id"] for row in owner_api.get(JOBS, {"model": "M:"}).json()["results"]] == [str(job.id)]


def test_speed_is_that_of_the_last_seconds_and_not_of_what_was_there_before() -> None:
    now = [100.0]
    work = Work(clock=lambda: now[0])
    assert work.speed() is None
    work.tell_bytes("pulling", "d", 10_000, 5_000)
    now[0] += 2
    assert work.speed() is None
    work.tell_bytes("pulling", "d", 10_000, 6_000)
    assert work.speed() == 500
    now[0] += 2
    assert work.speed() == 250
    now[0] += SPEED_SECONDS
    assert work.speed() is None
